// One case for each kind of line.

#include "core/daemon/log_lines.h"

#include <algorithm>

namespace lychgate::daemon {

void put_into_words(const LogEvent& event, const config::Config& config, LogLine& line) {
  const auto client = [&]() -> LogLine& { return line.client(event.address, event.port); };
  switch (event.kind) {
    case LogKind::kConnect: {
      // A wildcard listener's local address is not known before the hand-off; asking the kernel
      // for it would cost more than the accept (measured: 3.4 us against 2.4 us).
      const Endpoint& local = config.listens[event.listener].address;
      line.add("CONNECT from ");
      client().add(" to ").client(local.address, local.port);
      return;
    }
    case LogKind::kAllowlisted:
      line.add("ALLOWLISTED ");
      client();
      return;
    case LogKind::kDenylisted:
      line.add("DENYLISTED ");
      client();
      return;
    case LogKind::kPassNew:
      line.add("PASS NEW ");
      client();
      return;
    case LogKind::kPregreet:
      line.add("PREGREET {} after ", event.said).seconds(event.since).add(" from ");
      client().add(": ").escaped(
          {event.quoted.data(), std::min<size_t>(event.said, kQuotedBytesMax)});
      return;
    case LogKind::kHangup:
      line.add("HANGUP after ").seconds(event.since).add(" from ");
      client().add(" in tests before SMTP handshake");
      return;
    case LogKind::kRejectReply:
      line.add("NOQUEUE: reject: CONNECT from ");
      client().add(": {}", smtp::reply_text(event.reply));
      return;
    case LogKind::kRejectPerAddress:
      line.add("NOQUEUE: reject: CONNECT from ");
      client().add(": too many connections");
      return;
    case LogKind::kRejectScreening:
      line.add("reject: connect from ");
      client().add(": all screening ports busy");
      return;
    case LogKind::kRejectServer:
      line.add("NOQUEUE: reject: CONNECT from ");
      client().add(": all server ports busy");
      return;
    case LogKind::kDisconnect:
      line.add("DISCONNECT ");
      client();
      return;
  }
}

}  // namespace lychgate::daemon
