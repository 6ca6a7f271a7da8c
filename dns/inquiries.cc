// To come with its header.

#include "dns/inquiries.h"
