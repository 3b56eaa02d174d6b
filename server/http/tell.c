/* tell: the calls to owners that nobody of theirs asked for at that moment: a client has gone, a stream has room, a stream
 * is over.
 *
 * What happens is only recorded where it happens, which is inside MHD or inside a function that the owner calls. The calls
 * are made at the end of the server's turn, outside of both, so an owner may do in them whatever it may do on the loop,
 * http_close included. A call that has lost its sense until then (the exchange was answered) isn't made. */
#include "http/server.h"

void exchange_tell_later(struct exchange *exchange, enum exchange_call call)
{
    struct http_server *server = exchange->server;
    if (exchange->call == EXCHANGE_CALL_NONE) {
        TAILQ_INSERT_TAIL(&server->calls, exchange, call_entry);
        server_wake(server);
    }
    exchange->call = call;
}

void exchange_tell_not(struct exchange *exchange)
{
    if (exchange->call != EXCHANGE_CALL_NONE) {
        TAILQ_REMOVE(&exchange->server->calls, exchange, call_entry);
        exchange->call = EXCHANGE_CALL_NONE;
    }
}

void server_tell(struct http_server *server, size_t n)
{
    struct exchange *exchange;
    while (n > 0 && (exchange = TAILQ_FIRST(&server->calls)) != NULL) {
        enum exchange_call call = exchange->call;
        exchange_tell_not(exchange);
        if (call == EXCHANGE_CALL_GONE) {
            exchange->gone(exchange->gone_arg);
        } else {
            stream_call(exchange, call);
        }
        n--;
    }
    if (!TAILQ_EMPTY(&server->calls) && server->closed == NULL) {
        server_wake(server);
    }
}
