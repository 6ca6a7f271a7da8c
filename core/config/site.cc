// To come with its header.

#include "core/config/site.h"
