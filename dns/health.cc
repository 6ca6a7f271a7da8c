// To come with its header.

#include "dns/health.h"
