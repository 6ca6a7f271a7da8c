// To come with its header.

#include "core/config/catalogue.h"
