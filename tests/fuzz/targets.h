// The fuzz targets: each takes any bytes, and a failed check in it ends the process. The smoke test
// calls them all; a libFuzzer program is entry.cc with one of them.

#pragma once

#include <cstdint>
#include <span>

namespace lychgate::fuzz {

// dns/wire.h; wire_fuzz.h has the bits of the first byte.
void fuzz_wire(std::span<const uint8_t> input);
// core/smtp/line_reader.h. First byte: the bound; second: where the rest is split.
void fuzz_lines(std::span<const uint8_t> input);
// core/smtp/reply_reader.h. First byte: the bounds of a line and of a reply; second: as above.
void fuzz_replies(std::span<const uint8_t> input);
// core/smtp/engine.h, command.h. First byte: how the client is treated; second: as above.
void fuzz_dialogue(std::span<const uint8_t> input);
// core/smtp/proxy_reader.h.
void fuzz_proxy(std::span<const uint8_t> input);
// core/daemon/control_request.h: a line without its end.
void fuzz_control(std::span<const uint8_t> input);
// core/daemon/carry.h: a lot.
void fuzz_carry(std::span<const uint8_t> input);
// core/base/client_record.h: a key, a record, or two records.
void fuzz_record(std::span<const uint8_t> input);
// core/admission/access_list.h: the image of a list.
void fuzz_access_image(std::span<const uint8_t> input);

}  // namespace lychgate::fuzz
