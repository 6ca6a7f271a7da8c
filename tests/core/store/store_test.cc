// The store as its users see it while all is well: what is written is found, by the writer and by a
// view in another process, until it is forgotten.

#include "core/store/store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/store/harness.h"

namespace lychgate::store {
namespace {

Writer new_writer(const Options& options) {
  const auto prepared = prepare(options);
  EXPECT_TRUE(prepared) << prepared.error().text;
  EXPECT_EQ(prepared->warning, "");
  auto writer = Writer::open(options);
  LYCH_CHECK(writer.has_value());
  return std::move(*writer);
}

void commit(Writer& writer) {
  const auto done = writer.commit();
  ASSERT_TRUE(done) << done.error().text;
}

// A view that looks for client 1 ('?'), or ends its turn ('e'), whenever it is told to.
void watch_client_1(const Options& options, int fd) {
  auto view = View::open(options);
  char order = 0;
  while (view && read(fd, &order, 1) == 1) {
    char answer = 'k';
    if (order == 'e') view->end_turn();
    if (order == '?') answer = view->find(key_of(1)) ? 'y' : 'n';
    LYCH_CHECK(write(fd, &answer, 1) == 1);
  }
}

TEST(Store, KnowsWhoWasWritten) {
  const Folder folder;
  Writer writer = new_writer(folder.options());
  EXPECT_EQ(writer.find(key_of(1)).value(), std::nullopt) << "a stranger";
  writer.add_visit(key_of(1), record_of(1));
  EXPECT_EQ(writer.find(key_of(1)).value(), record_of(1)) << "not yet committed";
  EXPECT_EQ(writer.uncommitted(), 1U);
  commit(writer);
  EXPECT_EQ(writer.uncommitted(), 0U);
  EXPECT_EQ(writer.find(key_of(1)).value(), record_of(1)) << "committed";
  const int status = in_child([&] {
    auto view = View::open(folder.options());
    if (!view) return 1;
    if (view->find(key_of(1)) != record_of(1)) return 2;
    if (view->find(key_of(2)) != std::nullopt) return 3;
    if (view->failed() != 0) return 4;
    return 0;
  });
  EXPECT_EQ(status, 0);
}

TEST(Store, KeepsWhatItKnowsWhenItIsOpenedAgain) {
  for (const Sync sync : {Sync::kCommit, Sync::kInterval, Sync::kNone}) {
    const Folder folder;
    Options options = folder.options();
    options.sync = sync;
    {
      Writer writer = new_writer(options);
      writer.add_visit(key_of(7), record_of(7));
      commit(writer);
      const auto synced = writer.sync();
      EXPECT_TRUE(synced);
    }
    Writer writer = new_writer(options);
    EXPECT_EQ(writer.find(key_of(7)).value(), record_of(7));
    EXPECT_EQ(writer.stats().records, 1U);
  }
}

TEST(Store, ShowsAViewWhatWasCommittedBeforeItsTurn) {
  const Folder folder;
  Writer writer = new_writer(folder.options());
  Peer view([&](int fd) { watch_client_1(folder.options(), fd); });
  EXPECT_EQ(view.ask('?'), 'n');
  writer.add_visit(key_of(1), record_of(1));
  commit(writer);
  EXPECT_EQ(view.ask('?'), 'n') << "the turn has begun before";
  EXPECT_EQ(view.ask('e'), 'k');
  EXPECT_EQ(view.ask('?'), 'y');
  writer.forget(key_of(1));
  commit(writer);
  EXPECT_EQ(view.ask('?'), 'y');
  EXPECT_EQ(view.ask('e'), 'k');
  EXPECT_EQ(view.ask('e'), 'k') << "twice does no harm";
  EXPECT_EQ(view.ask('?'), 'n');
}

TEST(Store, GathersChangesOfOneClient) {
  ClientRecord visit;
  visit.passes = 1;
  visit.last_seen = 50;
  ClientRecord stored;
  stored.passes = 10;
  stored.last_seen = 40;
  ClientRecord both = visit;
  both.passes = 11;
  ClientRecord twice = both;
  twice.passes = 12;
  ClientRecord two = visit;
  two.passes = 2;
  using Steps = std::string;  // v a visit, r the record replaced by `stored`, f forgotten, c commit
  struct Row {
    const char* what;
    Steps steps;
    std::optional<ClientRecord> want;
  };
  const Row rows[] = {
      {"a visit", "v", visit},
      {"two visits", "vv", two},
      {"a visit of a known client", "rcv", both},
      {"two visits of a known client", "rcvv", twice},
      {"two, a commit between", "rcvcv", twice},
      {"a record takes the place of what was there", "vcr", stored},
      {"and of what was gathered", "vr", stored},
      {"a visit after it", "vrv", both},
      {"forgotten", "rcf", std::nullopt},
      {"forgotten before it was written", "vf", std::nullopt},
      {"comes back after it was forgotten", "rcfv", visit},
      {"comes back twice", "rcfvv", two},
      {"a stranger forgotten", "f", std::nullopt},
  };
  for (const Row& row : rows) {
    const Folder folder;
    Writer writer = new_writer(folder.options());
    for (const char step : row.steps) {
      if (step == 'v') writer.add_visit(key_of(1), visit);
      if (step == 'r') writer.replace(key_of(1), stored);
      if (step == 'f') writer.forget(key_of(1));
      if (step == 'c') commit(writer);
    }
    EXPECT_EQ(writer.find(key_of(1)).value(), row.want) << row.what << ", gathered";
    EXPECT_EQ(writer.uncommitted(), 1U) << row.what;
    commit(writer);
    EXPECT_EQ(writer.find(key_of(1)).value(), row.want) << row.what << ", committed";
    EXPECT_EQ(writer.stats().records, row.want ? 1U : 0U) << row.what;
  }
}

TEST(Store, LosesVisitsWhenTooManyWait) {
  const Folder folder;
  Writer writer = new_writer(folder.options());
  const auto bound = static_cast<uint32_t>(Writer::kUncommittedMax);
  for (uint32_t i = 0; i < bound + 5; ++i) writer.add_visit(key_of(i), record_of(i));
  EXPECT_EQ(writer.uncommitted(), bound);
  EXPECT_EQ(writer.stats().records_lost, 5U);
  writer.add_visit(key_of(0), record_of(0));
  EXPECT_EQ(writer.stats().records_lost, 5U) << "one that waits already takes no more room";
  commit(writer);
  EXPECT_EQ(writer.stats().records, bound);
  EXPECT_EQ(writer.stats().commits, bound / Writer::kChangesPerTransaction);
  EXPECT_EQ(writer.stats().commit_errors, 0U);
}

// The view reads pages by its own code, the writer by liblmdb.
TEST(Store, IsTheSameForViewAndWriter) {
  constexpr uint32_t kClients = 30'000;
  const Folder folder;
  Writer writer = new_writer(folder.options());
  Random random(20240702);
  std::map<uint32_t, ClientRecord> model;
  for (int batch = 0; batch < 20; ++batch) {
    for (int i = 0; i < 5'000; ++i) {
      const uint32_t number = random() % kClients;
      if (random() % 3 == 0) {
        writer.forget(key_of(number));
        model.erase(number);
      } else {
        writer.replace(key_of(number), record_of(number + static_cast<uint32_t>(batch)));
        model[number] = record_of(number + static_cast<uint32_t>(batch));
      }
    }
    commit(writer);
  }
  EXPECT_EQ(writer.stats().records, model.size());
  const auto wrong_answers = [&](const auto& find) {
    uint32_t wrong = 0;
    for (uint32_t number = 0; number < kClients; ++number) {
      const auto known = model.find(number);
      const auto want = known == model.end() ? std::nullopt : std::optional(known->second);
      if (find(key_of(number)) != want) ++wrong;
    }
    return wrong;
  };
  EXPECT_EQ(wrong_answers([&](const ClientKey& key) { return writer.find(key).value(); }), 0U);
  const int status = in_child([&] {
    auto view = View::open(folder.options());
    if (!view) return 1;
    if (wrong_answers([&](const ClientKey& key) { return view->find(key); }) != 0) return 2;
    return view->failed() == 0 ? 0 : 3;
  });
  EXPECT_EQ(status, 0);
}

TEST(Store, IsWalkedInOrder) {
  const Folder folder;
  Writer writer = new_writer(folder.options());
  const auto nobody = writer.walk({}, 10, [](const ClientKey&, const ClientRecord&) { FAIL(); });
  EXPECT_EQ(nobody.value(), std::nullopt);
  for (uint32_t i = 0; i < 100; ++i) writer.add_visit(key_of(i), record_of(i));
  commit(writer);
  std::vector<std::string> met;
  ClientKey from;
  int steps = 0;
  for (std::optional<ClientKey> next = from; next; ++steps) {
    next = writer
               .walk(*next, 7,
                     [&](const ClientKey& key, const ClientRecord& record) {
                       EXPECT_EQ(record, writer.find(key).value());
                       met.emplace_back(key.encoded().begin(), key.encoded().end());
                     })
               .value();
  }
  EXPECT_EQ(met.size(), 100U);
  EXPECT_EQ(steps, 15);
  EXPECT_TRUE(std::ranges::is_sorted(met));
  EXPECT_EQ(met.front()[0], '4') << "IPv4 first";
  EXPECT_EQ(met.back()[0], '6');
}

TEST(Store, ForgetsWhatIsOldALittleAtATime) {
  constexpr Seconds kNow = 10'000;
  constexpr Seconds kRetention = 1'000;
  const Folder folder;
  Writer writer = new_writer(folder.options());
  for (uint32_t i = 0; i < 100; ++i) {
    ClientRecord record;
    record.last_seen = i < 40 ? kNow - kRetention - 1 : kNow - kRetention;
    writer.replace(key_of(i), record);
  }
  ClientRecord denied;
  denied.denied_until = kForever;
  writer.replace(key_of(200), denied);
  commit(writer);
  uint64_t looked = 0;
  for (int i = 0; i < 10; ++i) looked += writer.clean(kNow, kRetention, 10).value();
  EXPECT_EQ(looked, 100U) << "no call looks at more than it may";
  EXPECT_EQ(writer.clean(kNow, kRetention, 10).value(), 1U) << "the end of the round";
  EXPECT_EQ(writer.stats().cleaned, 40U);
  EXPECT_EQ(writer.stats().records, 61U);
  for (uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(writer.find(key_of(i)).value().has_value(), i >= 40) << i;
  }
  EXPECT_TRUE(writer.find(key_of(200)).value()) << "for ever";
  EXPECT_EQ(writer.clean(kNow + 1, kRetention, 1'000).value(), 61U) << "begins again";
  EXPECT_EQ(writer.stats().records, 1U);
}

TEST(Store, DoesNotForgetWhoHasJustComeBack) {
  const Folder folder;
  Writer writer = new_writer(folder.options());
  ClientRecord old;
  old.last_seen = 10;
  old.passes = 5;
  writer.replace(key_of(1), old);
  commit(writer);
  ClientRecord visit;
  visit.last_seen = 100'000;
  visit.passes = 1;
  writer.add_visit(key_of(1), visit);
  EXPECT_EQ(writer.clean(100'000, 60, 10).value(), 1U);
  commit(writer);
  const auto record = writer.find(key_of(1)).value();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->passes, 6U);
}

}  // namespace
}  // namespace lychgate::store
