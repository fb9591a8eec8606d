// What tls.c and tls_context.c share; nobody else includes it.
#ifndef MOONGATE_CORE_TLS_INTERNAL_H
#define MOONGATE_CORE_TLS_INTERNAL_H

#define MBEDTLS_ALLOW_PRIVATE_ACCESS // buffers and the peer's certificate, to give their memory back early
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>

#include "tls.h"

struct tls_context {
    size_t refs;
    mbedtls_ssl_config config;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context rng;
    mbedtls_x509_crt certificates; // trusted roots of a client, own chain of a server
    mbedtls_pk_context key;        // server
    mbedtls_ssl_ticket_context tickets;
};

#endif
