// What the DNS lists of a run say about addresses, what the gate has been told of it, and which
// scores it may have made of that: by a reckoning of its own, so that it can disagree.

#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/lists_shared.h"
#include "tests/sim/dns_server.h"

namespace lychgate::sim {

// How a list is, from some time on.
enum class ListMood : uint8_t {
  kGood,
  kWildcard,  // lists everything
  kErrors,    // answers everything with an error code
  kOverQuota,
  kEmpty,  // lists nothing, not even its test point
  kFails,  // SERVFAIL
  kSilent,
};

// A site line: 127.0.0.[low..high], or no pattern when high is 0.
struct ListLineModel {
  uint8_t low = 0;
  uint8_t high = 0;
  std::optional<int> weight;
};

struct ListModel {
  std::string zone;
  bool catalogued = false;
  std::vector<ListLineModel> lines;
  uint64_t listed_percent = 0;
  uint64_t key = 0;  // of what it lists
  uint32_t ttl = 300;
  std::optional<uint32_t> soa_ttl;
  std::vector<std::pair<Time, ListMood>> moods = {{0, ListMood::kGood}};

  ListMood mood(Time now) const;
  std::vector<uint32_t> codes(const IpAddress& address) const;
  std::string reason(const IpAddress& address) const;
  // What a sound answer adds to a score.
  int worth(const std::vector<uint32_t>& codes) const;
};

// The catalogue of all catalogued lists of a run, as TOML.
std::string catalogue_text(const std::vector<ListModel>& lists);
// The site lines, as an operator writes them.
std::vector<std::string> site_texts(const ListModel& list);

class ListBook : public DnsBook {
 public:
  explicit ListBook(const std::vector<ListModel>& lists);

  std::optional<DnsAnswer> answer(const DnsQuestion& question, Time now) override;
  DnsAnswer lie(const DnsQuestion& question) override;
  void told(const DnsQuestion& question, const DnsAnswer& answer, Time now, bool whole) override;

  // The gate's own boards: what it says of the lists, it has to keep to.
  void watch(const SharedLists& boards) { boards_ = &boards; }
  // After each step of the gate.
  void look(Time now);

  // The most that a score can have been that was made at `from` or later, by lists that were up, of
  // answers that were good at `since` or came after it.
  int greatest_ever(const IpAddress& address, Time since, Time from) const;
  // The least that it may have been at some time since, by lists that may have fallen meanwhile.
  int least_ever(const IpAddress& address, Time since) const;
  // What a client, the first of its address, has at the least when it is judged at `until`: what
  // came from `since` on and before its questions ended counts for certain.
  int certain_score(const IpAddress& address, Time since, Time until, Time questions_end) const;
  // What all lists together say about it, were they all asked and up.
  int whole_score(const IpAddress& address) const;
  // And have been since then: what was heard of a list before is not believed.
  bool all_up(Time since) const;
  bool was_asked_about(const IpAddress& address) const;
  // An answer that is worth keeping was given about the address at `since` or later.
  bool told_since(const IpAddress& address, Time since) const;
  // nullptr: no list has this name.
  const ListModel* find(std::string_view zone) const;

 private:
  struct Named {
    size_t list = 0;
    IpAddress address;
  };
  struct Told {
    Time at = 0;
    Time until = 0;  // a gate that keeps answers no longer than it should
    int worth = 0;
    bool whole = false;
    bool kept = false;  // no error code, after which the gate asks again
  };
  // A time for which a list is up: it is believed what it has said since it fell before that.
  struct Stretch {
    Time believed = 0;
    Time begins = 0;
    std::optional<Time> ends{};
  };
  struct Seen {
    ListState state = ListState::kUnproven;
    Time disabled = 0;
    std::vector<Stretch> stretches{};
    bool is_up_since(Time time) const;  // or longer
  };
  // Of what is believed in this stretch and was good at `since`.
  std::pair<int, int> extremes(size_t list, const IpAddress& address, const Stretch& stretch,
                               Time since) const;
  std::optional<Named> named(const DnsQuestion& question) const;

  const std::vector<ListModel>& lists_;
  std::vector<Seen> seen_;
  const SharedLists* boards_ = nullptr;
  std::map<std::pair<size_t, std::array<uint8_t, 16>>, std::vector<Told>> told_;
};

}  // namespace lychgate::sim
