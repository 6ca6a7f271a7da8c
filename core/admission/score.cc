// To come with its header.

#include "core/admission/score.h"
