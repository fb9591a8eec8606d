// client_exchange: the body of a request that the server receives, streamed into a call, with back-pressure both
// ways and nothing kept beyond what is on its way.
#ifndef MOONGATE_CLIENT_EXCHANGE_H
#define MOONGATE_CLIENT_EXCHANGE_H

#include "client.h"
#include "server.h"

// Makes a source for one client_send(), which takes it over. NULL: no memory. limit: most bytes of the body.
client_source *client_exchange_new(exchange *x, uint64_t limit);

#endif
