// Sender and sink of one bulk TCP stream, for measuring a relay between them (relay_compare.py).
// The sink greets first, as an SMTP server does, so a relay sees the order it is made for, and
// answers with the number of bytes it got, so a lost byte fails the run. Blocking calls only.
//
//   stream sink PORT             serves one connection after another until it is ended
//   stream send ADDRESS PORT N   sends N bytes, prints the seconds from greeting to answer

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr size_t kBlockBytes = size_t{256} * 1024;
constexpr std::string_view kGreeting = "220 sink\r\n";

struct Place {
  const char* address;
  uint16_t port;
};

sockaddr_in socket_address(const Place& place) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(place.port);
  inet_pton(AF_INET, place.address, &address.sin_addr);
  return address;
}

template <typename Number>
Number number(const char* text) {
  Number value{};
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// One line without its end; empty when the peer closed first.
std::string read_line(int fd) {
  std::string line;
  for (char c = 0; recv(fd, &c, 1, 0) == 1;) {
    if (c == '\n') return line.substr(0, line.find('\r'));
    line += c;
  }
  return {};
}

int complain(const char* what) {
  std::perror(what);
  return 1;
}

void serve(int client) {
  std::vector<char> block(kBlockBytes);
  uint64_t total = 0;
  if (write_all(client, kGreeting)) {
    for (ssize_t got = 0; (got = recv(client, block.data(), block.size(), 0)) > 0;) {
      total += static_cast<uint64_t>(got);
    }
    write_all(client, "250 " + std::to_string(total) + "\r\n");
  }
  close(client);
}

int run_sink(uint16_t port) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const sockaddr_in address = socket_address({.address = "127.0.0.1", .port = port});
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener, 16) != 0) {
    return complain("sink");
  }
  for (;;) {
    const int client = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return complain("accept");
    serve(client);
  }
}

int run_sender(const Place& place, uint64_t bytes) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = socket_address(place);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return complain("connect");
  }
  while (read_line(fd).starts_with("220-")) continue;  // a teaser may precede the greeting
  const std::vector<char> block(kBlockBytes, 'x');
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t left = bytes; left > 0;) {
    const size_t part = std::min<uint64_t>(left, block.size());
    if (!write_all(fd, {block.data(), part})) return complain("send");
    left -= part;
  }
  shutdown(fd, SHUT_WR);
  const std::string answer = read_line(fd);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  close(fd);
  if (answer != "250 " + std::to_string(bytes)) {
    std::fprintf(stderr, "sent %llu bytes, the sink said '%s'\n",
                 static_cast<unsigned long long>(bytes), answer.c_str());
    return 1;
  }
  std::printf("%.6f\n", spent.count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view role = argc > 1 ? argv[1] : "";
  if (role == "sink" && argc == 3) return run_sink(number<uint16_t>(argv[2]));
  if (role == "send" && argc == 5) {
    return run_sender({.address = argv[2], .port = number<uint16_t>(argv[3])},
                      number<uint64_t>(argv[4]));
  }
  std::fputs("usage: stream sink PORT | stream send ADDRESS PORT BYTES\n", stderr);
  return 64;
}
