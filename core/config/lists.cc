// To come with its header.

#include "core/config/lists.h"
