// The fuzz targets fed for some seconds with generated messages, damaged ones and noise. A failure
// is a failed check or a sanitizer's report; the seed is fixed, so it comes again.

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "tests/dns/wire_messages.h"
#include "tests/fuzz/wire_fuzz.h"

namespace lychgate::dns {
namespace {

#ifdef NDEBUG
constexpr int kRounds = 400'000;
#else
constexpr int kRounds = 30'000;  // unoptimised, or with sanitizers
#endif

// Without its question: the target puts its own in.
std::vector<char> without_question(std::vector<char> message, size_t question_size) {
  const auto header_end = message.begin() + kHeaderBytes;
  message.erase(header_end, message.begin() + static_cast<ptrdiff_t>(question_size - 11));
  return message;
}

void feed(uint8_t choice, const std::vector<char>& message) {
  std::vector<uint8_t> input = {choice};
  input.insert(input.end(), message.begin(), message.end());
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

TEST(FuzzSmoke, WireTakesAnyMessage) {
  MessageSource source(20240601);
  sim::Random& random = source.random();
  for (int i = 0; i < kRounds; ++i) {
    const std::vector<char> question = source.question();
    std::vector<char> message = without_question(source.reply(question), question.size());
    for (int copies = 0; copies < 3; ++copies) {
      feed(static_cast<uint8_t>(random.next() | kMakeReply), message);
      source.damage(message);
    }
    std::vector<char> noise(random.between(0, 80));
    for (char& c : noise) c = static_cast<char>(random.next());
    feed(static_cast<uint8_t>(random.next()), noise);
  }
}

}  // namespace
}  // namespace lychgate::dns
