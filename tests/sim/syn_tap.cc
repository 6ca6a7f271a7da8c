// Records as bpf_ringbuf_output writes them.

#include "tests/sim/syn_tap.h"

#include <linux/bpf.h>

#include <algorithm>
#include <cstring>

namespace lychgate::sim {

namespace {

constexpr uint32_t kAddressBytes = sizeof(IpAddress::bytes);
constexpr uint32_t kRecordBytes = kAddressBytes + BPF_RINGBUF_HDR_SZ;

}  // namespace

SynTap::SynTap(Agenda& agenda, SimReactor& reactor, uint32_t bytes)
    : agenda_(agenda),
      reactor_(reactor),
      data_(2 * size_t{bytes}),
      bytes_(bytes),
      fd_(reactor.make_source([this] { return consumed_ != produced_; })) {}

bool SynTap::tell(const IpAddress& address) {
  if (produced_ - consumed_ + kRecordBytes > bytes_) {
    ++lost_;
    return false;
  }
  uint8_t record[kRecordBytes] = {};
  std::memcpy(record, &kAddressBytes, sizeof(kAddressBytes));
  std::memcpy(record + BPF_RINGBUF_HDR_SZ, address.bytes.data(), kAddressBytes);
  for (uint32_t i = 0; i < kRecordBytes; ++i) {
    const uint64_t at = (produced_ + i) % bytes_;
    data_[at] = data_[at + bytes_] = record[i];
  }
  const uint64_t begin = produced_;
  unread_.emplace_back(begin, agenda_.now());
  produced_ += kRecordBytes;
  // The kernel wakes only a reader that has read everything before (kernel/bpf/ringbuf.c).
  if (consumed_ == begin) reactor_.source_changed(fd_);
  return true;
}

uint64_t SynTap::read() const {
  return consumed_ / kRecordBytes;
}

Time SynTap::lag(Time from) {
  if (unread_.empty()) return 0;
  const Time longest = agenda_.now() - std::max(from, unread_.front().second);
  while (!unread_.empty() && unread_.front().first < consumed_) unread_.pop_front();
  return longest;
}

}  // namespace lychgate::sim
