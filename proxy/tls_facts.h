// What is known of the encryption of a connection: for who reads Link::tls() and needs no more of
// the room behind it.
#pragma once

#include "proxy/tls/facts.h"
