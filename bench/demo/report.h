// What the demo tells the person in front of the terminal: progress lines, the tables at the end,
// and what went wrong for whom. Judges each client by what it heard and by what the servers saw.
// Prints to stdout, in colours only to a terminal (and not when NO_COLOR is set).

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/demo/client.h"
#include "bench/demo/gate_process.h"
#include "bench/demo/smtpd.h"

namespace lychgate::demo {

using Clients = std::vector<std::unique_ptr<Client>>;

// Readings of the gate around the time in which it only holds.
struct Holding {
  uint32_t first = 0;  // clients held at the first reading
  uint32_t all = 0;    // and at the second
  Usage at_first{};
  Usage at_all{};
  Usage after_pause{};  // nothing happened between the second and this
  milliseconds pause{};
};

// Everything the report is made of.
struct Play {
  const Clients& clients;
  const Smtpd& friendly;
  const Smtpd& hostile;
};

// What the demo saw of the DNS lists.
struct ListsSeen {
  bool disabled = false;   // kQuotaList, says the gate's log
  bool back = false;       // the same, later
  std::string table;       // `lychgate lists` when it was disabled
  uint64_t errors = 0;     // error codes it gave about the error-coded clients
  uint64_t questions = 0;  // that reached the server of the lists
};

// One line of progress with the seconds since the start.
void say_progress(Clock::duration since_start, std::string_view text);
void print_line(std::string_view text);
// Whole lines with their ends.
void print_text(std::string_view text);
// The same, indented under a line of progress and broken between words.
void print_wrapped(std::string_view text);

void print_introduction(const Smtpd& friendly, const Smtpd& hostile);
void print_table(const Play& play);
// What the lists said and what became of it; false: not all that should have happened did.
bool print_lists(const Play& play, const ListsSeen& seen);
void print_cost(const Holding& holding, const Usage& before, const Usage& after);
// Compares `lychgate status` with our own counts; the number of rows that differ.
uint32_t print_agreement(const Play& play, const Status& status);
// Names the clients that did not get what they should, with what they heard; their number.
uint32_t print_failures(const Play& play);
// The last lines of a file, indented.
void print_tail(const std::string& path);
// The last words: good or not.
void print_verdict(bool good, Clock::duration took);

}  // namespace lychgate::demo
