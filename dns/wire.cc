// To come with its header.

#include "dns/wire.h"
