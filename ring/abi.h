// io_uring constants newer than liburing 2.3 (Debian 12), each with the kernel that brought it.
// Values are the kernel's user-space ABI and never change. Nothing else belongs here.

#pragma once

#include <cstdint>

namespace lychgate::ring::abi {

inline constexpr uint16_t kAcceptDontwait = 1u << 1;     // IORING_ACCEPT_DONTWAIT, 6.10
inline constexpr uint8_t kOpFixedFdInstall = 54;         // IORING_OP_FIXED_FD_INSTALL, 6.8
inline constexpr uint32_t kSocketOpSetsockopt = 3;       // SOCKET_URING_OP_SETSOCKOPT, 6.7
inline constexpr uint64_t kMsgSendFd = 1;                // IORING_MSG_SEND_FD, 6.0
inline constexpr uint32_t kFileIndexAlloc = 0xffffffff;  // IORING_FILE_INDEX_ALLOC, 5.19

// The oldest kernel lychgate supports: the newest constant above.
inline constexpr int kOldestMajor = 6;
inline constexpr int kOldestMinor = 10;

}  // namespace lychgate::ring::abi
