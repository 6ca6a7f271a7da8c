// Socketpairs: one Socket, of which the gate has both ends until it gives one to a service.

#include <cerrno>

#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

Result<ring::SocketPair> SimReactor::make_socketpair() {
  if (random_.chance(faults_.no_descriptor_percent)) return fail(ExitCode::kOsError, "no more");
  auto socket = std::make_shared<Socket>();
  socket->far = &nobody_;
  socket->references = 1;
  socket->connected = 0;
  return ring::SocketPair{add_file(PairEnd{socket, true}), add_file(PairEnd{socket, false})};
}

// Our end gets a slot, for the client of the request's tag or, of a health check, for nobody.
SimReactor::Answer SimReactor::adopt_pair(Request& request) {
  const SocketPtr socket = file<PairEnd>(request.descriptors.front())->socket;
  const int slot = find_slot(request.table);
  if (slot < 0 || random_.chance(faults_.no_descriptor_percent)) return answer(-ENFILE);
  if (request.tag.operation() == ring::Op::kBackendPair) {
    const SocketPtr client = table_.at(request.tag.slot);
    client->far->hand_off_begins();
    socket->client = client->client;
  }
  table_[static_cast<size_t>(slot)] = socket;
  ++slots_open_;
  ++socket->references;
  ++socket->slots;
  socket->rx_max = random_.pick<size_t>({300, 4096, 65536});
  socket->tx_max = random_.pick<size_t>({300, 4096, 65536});
  request.descriptors.front() = slot;
  return answer(1);
}

// Nobody has the other end any more: what is written is lost, what is read has an end.
void SimReactor::end_of_pair(Socket& socket) {
  if (--socket.theirs == 0 && socket.far == &nobody_) leave(socket);
}

void SimReactor::close_pair_end(const PairEnd& end) {
  end.ours ? drop_reference(*end.socket) : end_of_pair(*end.socket);
}

}  // namespace lychgate::sim
