// Lines out of a stream of bytes, as an SMTP server reads them: fed with whatever has come, it
// gives one line a call. Pure and bounded; owns no memory: a line that comes in pieces is gathered
// in the caller's storage, one that comes whole is not copied. Judges nothing: what is wrong with a
// line is told in its flags.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lychgate::smtp {

// RFC 5321 4.5.3.1.4 and 4.5.3.1.6: octets of a command line and of a text line, CRLF included.
inline constexpr size_t kCommandLineMax = 512;
inline constexpr size_t kTextLineMax = 1000;

enum class LineOutcome : uint8_t {
  kLine,
  kNeedMore,  // every byte is used and the line has not ended
  kTooLong,   // told once, as soon as the bound is reached; the rest of the line is skipped
};

enum LineFlag : uint8_t {
  kBareLf = 1 << 0,    // ended by LF without CR
  kBareCr = 1 << 1,    // has a CR that no LF follows
  kNul = 1 << 2,       // has a NUL
  kEightBit = 1 << 3,  // has an octet above 127
};

struct ReadLine {
  LineOutcome outcome = LineOutcome::kNeedMore;
  uint8_t flags = 0;  // bits of LineFlag; kLine only
  // Bytes of the input that are done with. After a kLine, fewer than were given: more had already
  // come behind the line (pipelining).
  size_t used = 0;
  // The line without its end; of a kTooLong as much as was read. Valid until the next read() and as
  // long as the input is.
  std::string_view text{};

  bool has(LineFlag flag) const { return (flags & flag) != 0; }
};

class LineReader {
 public:
  // The size of the storage is the bound: octets of a line, its end included, as the RFC counts.
  // REQUIRES: it is not empty and outlives the reader.
  explicit LineReader(std::span<char> storage);

  // The next line, or all bytes used without one. LF ends a line, with or without CR before it: two
  // servers that do not agree where lines end are how mail is smuggled past one of them, so the
  // caller is told (kBareLf), never left to guess.
  ReadLine read(std::span<const char> bytes);

  // Goes on in larger storage; what has come of a line is copied there. REQUIRES: it is larger than
  // what has come, and outlives the reader.
  void move_to(std::span<char> storage);

  // What has come of a line that has not ended.
  std::string_view unfinished() const { return {storage_.data(), size_}; }

 private:
  std::span<char> storage_;
  size_t size_ = 0;
  bool skipping_ = false;  // the rest of a line that was too long
};

}  // namespace lychgate::smtp
