#include "ring.hpp"
