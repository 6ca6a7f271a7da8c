// The words for states and faults.

#include "core/base/lists_shared.h"

namespace lychgate {

const char* const kListStateNames[kListStateCount] = {"unproven", "up", "disabled"};

const char* const kListFaultWords[kListFaultCount] = {
    "none",
    "does not list its test point",
    "lists an address that no list may list: shut down, or a resolver that answers everything",
    "answers with an error code: the resolver is not welcome there, or the zone name is wrong",
    "answers that too much is asked",
    "cannot be looked up: SERVFAIL or REFUSED from every server",
    "does not answer",
    "has had its queries of the day",
};

}  // namespace lychgate
