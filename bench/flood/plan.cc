// The names of the profiles, as the command line, mix files and reports write them.

#include "bench/flood/plan.h"

namespace lychgate::flood {

const char* const kProfileNames[kProfileCount] = {"zombie",      "early", "bot",    "drip",
                                                  "never-reads", "reset", "hangup", "legit"};

}  // namespace lychgate::flood
