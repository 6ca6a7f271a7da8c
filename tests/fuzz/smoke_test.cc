// The fuzz targets fed for some seconds with generated messages and streams, damaged ones and
// noise. A failure is a failed check or a sanitizer's report; the seed is fixed, so it comes again.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/admission/access_list.h"
#include "core/base/client_record.h"
#include "core/daemon/carry.h"
#include "tests/dns/wire_messages.h"
#include "tests/fuzz/streams.h"
#include "tests/fuzz/targets.h"
#include "tests/fuzz/wire_fuzz.h"
#include "tests/sim/random.h"

namespace lychgate::fuzz {
namespace {

using namespace std::string_view_literals;

// Without its question: the target puts its own in.
std::vector<char> without_question(std::vector<char> message, size_t question_size) {
  const auto header_end = message.begin() + dns::kHeaderBytes;
  message.erase(header_end, message.begin() + static_cast<ptrdiff_t>(question_size - 11));
  return message;
}

void feed_wire(uint8_t choice, const std::vector<char>& message) {
  std::vector<uint8_t> input = {choice};
  input.insert(input.end(), message.begin(), message.end());
  fuzz_wire(input);
}

TEST(FuzzSmoke, WireTakesAnyMessage) {
  dns::MessageSource source(20240601);
  sim::Random& random = source.random();
  for (int i = 0; i < kRounds; ++i) {
    const std::vector<char> question = source.question();
    std::vector<char> message = without_question(source.reply(question), question.size());
    for (int copies = 0; copies < 3; ++copies) {
      feed_wire(static_cast<uint8_t>(random.next() | kMakeReply), message);
      source.damage(message);
    }
    std::vector<char> noise(random.between(0, 80));
    for (char& c : noise) c = static_cast<char>(random.next());
    feed_wire(static_cast<uint8_t>(random.next()), noise);
  }
}

TEST(FuzzSmoke, RecordsAreReadFromAnyBytes) {
  sim::Random random(20240604);
  for (int i = 0; i < kRounds; ++i) {
    const bool is_key = random.one_in(3);
    const size_t record = ClientRecord::kBytes;
    const size_t sizes[] = {record, 2 * record, 5, 17, random.between(0, 120)};
    std::vector<uint8_t> input(is_key ? sizes[2 + random.between(0, 2)]
                                      : sizes[random.between(0, 1)]);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random.next());
    // Mostly what gets past the first look.
    if (!input.empty() && is_key) input[0] = random.pick({uint8_t{'4'}, uint8_t{'6'}});
    for (size_t at = 0; !is_key && at < input.size(); at += record) input[at] = 1;
    if (!input.empty() && random.one_in(8)) input[0] = static_cast<uint8_t>(random.next());
    fuzz_record(input);
  }
}

TEST(FuzzSmoke, ControlTakesAnyLine) {
  sim::Random random(20240604);
  for (int i = 0; i < kRounds; ++i) {
    std::vector<uint8_t> line =
        stream_of(random, {"status"sv,       " "sv,        " json"sv,  "sessions "sv,
                           "state=relay "sv, "id="sv,      "1:2:3"sv,  "address="sv,
                           "192.0.2.1"sv,    "/24"sv,      "age="sv,   "9s"sv,
                           " for="sv,        "allow "sv,   "pools "sv, "drain "sv,
                           "99999999999d"sv, "limit=0 "sv, "kill"sv,   "\0"sv});
    line.erase(line.begin(), line.begin() + (random.one_in(8) ? 0 : 2));
    fuzz_control(line);
  }
}

// Lots of some clients with some answers; in some a byte is changed, or the length.
TEST(FuzzSmoke, CarriedClientsAreReadFromAnyLot) {
  sim::Random random(20240606);
  for (int i = 0; i < kRounds / 4; ++i) {
    std::vector<uint8_t> lot;
    daemon::begin_lot(lot);
    for (uint64_t left = random.between(0, 4); left > 0; --left) {
      daemon::CarriedClient client;
      client.evidence = static_cast<uint16_t>(random.between(0, 7));
      client.listener = static_cast<uint8_t>(random.between(0, kListenersMax));
      client.answer_count = static_cast<uint8_t>(random.between(0, 4));
      for (daemon::CarriedAnswer& answer : client.answers) {
        answer.cell = static_cast<uint8_t>(random.between(0, kListsMax));
      }
      daemon::add_to_lot(client, lot);
    }
    const size_t last = lot.size() - 1;
    if (random.one_in(3)) lot[random.between(0, last)] = static_cast<uint8_t>(random.next());
    if (random.one_in(4)) lot.resize(random.between(0, lot.size() + 64));
    fuzz_carry(lot);
  }
}

// Images of lists of one to three levels, most of them with something changed: a number of the
// header, a byte anywhere, the length.
TEST(FuzzSmoke, AccessListsAreReadFromAnyImage) {
  sim::Random random(20240605);
  std::vector<std::vector<uint8_t>> images;
  for (const int rules : {0, 8, 100, 300}) {
    std::string text;
    for (int i = 0; i < rules; ++i) {
      text +=
          fmt::format("10.0.{}.{} reject\n2001:db8:{:x}::/48 permit\n", i / 256, i % 256, 2 * i);
    }
    const auto list = admission::AccessList::parse(text);
    ASSERT_TRUE(list.has_value());
    images.emplace_back(list->image().begin(), list->image().end());
  }
  for (int i = 0; i < kRounds / 4; ++i) {
    std::vector<uint8_t> image = images[random.between(0, images.size() - 1)];
    // Magic and version with 4 bytes each, then rules and the segments of both families with 8.
    if (random.one_in(3)) image[random.between(0, 31)] = static_cast<uint8_t>(random.next());
    for (uint64_t left = random.between(0, 20); left > 0; --left) {
      image[random.between(64, image.size() - 1)] = static_cast<uint8_t>(random.next());
    }
    if (random.one_in(4)) image.resize(random.between(0, image.size() + 64));
    fuzz_access_image(image);
  }
}

}  // namespace
}  // namespace lychgate::fuzz
