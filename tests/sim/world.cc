// The guest list and its manners.

#include "tests/sim/world.h"

#include <algorithm>
#include <array>

#include "handoff/proxy_header.h"
#include "tests/sim/mail_session.h"

namespace lychgate::sim {

World::World(Stage& stage, const Scenario& scenario)
    : stage_(stage),
      scenario_(scenario),
      book_(scenario.lists),
      cast_{stage, scenario, {}, {}},
      replies_({.hostname = "gate.example",
                .banner = scenario.config.greet.banner,
                .footer = scenario.config.dialogue.reject_footer}) {
  const config::Greet& greet = scenario.config.greet;
  const auto defer = scenario.kernel_wait > 0 ? static_cast<Time>(greet.wait.count()) : 0;
  for (const config::Listen& listen : scenario.config.listens) {
    listeners_.push_back(stage.reactor.listen(listen.backlog, defer));
  }
  const SynModel& syn = scenario.syn;
  if (syn.ring_bytes > 0) syn_tap_.emplace(stage.agenda, stage.reactor, syn.ring_bytes);
  if (syn.forged > 0) {
    stage.agenda.at(syn.forged_from, [this, &syn] { forge(syn.forged_from + syn.forged_for); });
  }
  control_ = stage.reactor.make_control();
  log_ = stage.reactor.make_log();
  for (const config::Pool& pool : scenario.config.pools) {
    for (const config::Backend& backend : pool.backends) {
      if (backend.method == config::HandoffMethod::kPass) {
        servers_.push_back(std::make_unique<PassService>(cast_, pool));
      } else {
        servers_.push_back(std::make_unique<Backend>(cast_, pool, backend));
      }
      stage.reactor.serve(backend.address, *servers_.back());
    }
  }
  open_dns();
  crowd_.lists = &book_;
  crowd_.sessions = &cast_.sessions;
  crowd_.replies = &replies_;
  if (scenario.remembers) memory_.emplace(stage, scenario);
  crowd_.memory = memory();
  crowd_.elsewhere = scenario.held_elsewhere;
  still_to_come_ = scenario.sessions;
  for (uint32_t i = 0; i < scenario.sessions; ++i) invite(i);
  if (scenario.stop_at) {
    stage.agenda.at(*scenario.stop_at, [this] { stage_.reactor.say_to_control(); });
  }
}

void World::open_dns() {
  for (size_t i = 0; i < scenario_.dns.size(); ++i) {
    dns_.push_back(std::make_unique<DnsServer>(stage_, book_, scenario_.dns[i]));
    stage_.reactor.serve(SocketAddress::from(scenario_.plan.servers[i]), *dns_.back());
    for (uint32_t socket = 0; socket < scenario_.config.dns.sockets; ++socket) {
      dns_sockets_.push_back(stage_.reactor.make_packet_socket(*dns_.back(), scenario_.dns_queue));
    }
  }
}

void World::mend_dns() {
  for (const auto& server : dns_) server->manners() = DnsManners{};
}

void World::invite(uint32_t index) {
  cast_.clients.push_back(
      std::make_unique<Client>(stage_, scenario_, crowd_, index, draw_script(index)));
  stage_.agenda.at(cast_.clients.back()->script().arrives, [this, index] { come(index); });
}

void World::come(uint32_t index) {
  --still_to_come_;
  Client& client = *cast_.clients[index];
  client.come(syn_tap_ && syn_tap_->tell(client.script().from.address));
}

void World::forge(Time until) {
  Random& random = stage_.random;
  for (uint32_t i = 0; i < scenario_.syn.forged; ++i) {
    const bool of_client = scenario_.syn.of_clients && random.one_in(4);
    const auto number = static_cast<uint32_t>(random.between(0, scenario_.addresses));
    const auto nobody = static_cast<uint32_t>(172u << 24 | random.between(0, 0xffffff));
    syn_tap_->tell(of_client ? client_address(number) : IpAddress::from_v4(nobody));
  }
  if (stage_.agenda.now() < until) stage_.agenda.after(1, [this, until] { forge(until); });
}

ClientScript World::draw_script(uint32_t index) {
  Random& random = stage_.random;
  ClientScript out;
  const auto listen = random.between(0, listeners_.size() - 1);
  out.listener = static_cast<uint32_t>(listen);
  out.listener_fd = listeners_[listen];
  out.from.address = client_address(static_cast<uint32_t>(random.between(0, scenario_.addresses)));
  out.from.port = static_cast<uint16_t>(1024 + index);
  out.to = scenario_.config.listens[listen].address;
  if (out.to.address.is_unspecified() || out.to.address == IpAddress::from_v4(0)) {
    out.to.address = *IpAddress::parse(out.from.address.is_v4() ? "192.0.2.1" : "2001:db8::25");
  }
  out.arrives = random.between(0, scenario_.arrivals_last);
  const bool bulk = random.chance(scenario_.bulk_percent);
  out.total = bulk ? random.between(0, 400000) : random.between(0, 500);
  out.chunk = bulk ? 16384 : 100;
  out.pace = bulk ? 2 : random.pick<Time>({1, 20, 300});
  out.finish = random.pick({Finish::kEndAndRead, Finish::kEndAndRead, Finish::kAfterThem});
  const bool rude = random.chance(scenario_.rude_percent);
  if (rude) draw_manners(out);
  if (!scenario_.talks) return out;
  out.talk = draw_talk(random, {.rude = rude && !random.one_in(4),
                                .verify = !scenario_.config.dialogue.disable_vrfy});
  if (scenario_.config.listens[listen].proxy_protocol) draw_header(out);
  return out;
}

std::string World::header_of(const ClientScript& script) {
  std::array<char, handoff::kProxyHeaderMax> bytes;
  const auto version = stage_.random.pick({config::ProxyHeader::kV1, config::ProxyHeader::kV2});
  const size_t size =
      handoff::write_proxy_header(version, {.client = script.from, .server = script.to}, bytes);
  return std::string(bytes.data(), size);
}

// A balancer stands between it and the gate.
void World::draw_header(ClientScript& script) {
  Random& random = stage_.random;
  script.peer = {*IpAddress::parse("10.250.0.1"), script.from.port};
  script.header = header_of(script);
  script.header_pieces = random.pick<size_t>({1, 1, 3, 20});
  if (!random.chance(scenario_.rude_percent)) return;
  switch (random.between(0, 3)) {
    case 0:
      script.peer.address = *IpAddress::parse("10.99.0.1");
      break;
    case 1:
      script.header = "EHLO client.example\r\n";
      break;
    case 2:
      script.header.pop_back();
      break;
    default:
      script.header[0] = 'X';
      break;
  }
  script.header_good = false;
}

void World::draw_manners(ClientScript& script) {
  Random& random = stage_.random;
  const auto gate = static_cast<uint64_t>(scenario_.config.greet.wait.count());
  const uint64_t wait = std::max(gate, scenario_.kernel_wait);
  if (random.one_in(2)) {
    script.speaks_early = random.between(0, wait + 50);
    script.early_bytes = std::min(script.total, random.between(1, 3000));
  }
  script.reading =
      random.pick({Reading::kPrompt, Reading::kPrompt, Reading::kSlow, Reading::kNever});
  script.finish = random.pick(
      {Finish::kEndAndRead, Finish::kAfterThem, Finish::kLeave, Finish::kReset, Finish::kNothing});
  if (random.one_in(2)) {
    script.goes = random.between(0, random.pick<uint64_t>({wait + 100, 20000}));
    script.leaving = random.pick({Leaving::kEnd, Leaving::kLeave, Leaving::kReset});
  }
}

bool World::over() const {
  if (still_to_come_ > 0 || stage_.reactor.waiting_clients() > 0) return false;
  return std::all_of(cast_.clients.begin(), cast_.clients.end(), [](const auto& client) {
    return !client->was_accepted() || client->released();
  });
}

void World::judge() {
  for (const auto& client : cast_.clients) client->judge();
  for (const auto& session : cast_.sessions) {
    if (auto* server = dynamic_cast<ServerSession*>(session.get())) server->judge();
    if (auto* server = dynamic_cast<MailSession*>(session.get())) server->judge();
  }
}

}  // namespace lychgate::sim
