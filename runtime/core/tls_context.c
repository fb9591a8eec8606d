// What all sessions of one configuration share. Built once, read-only afterwards but for the random
// generator and the ticket keys, which Mbed TLS guards by mutexes (MBEDTLS_THREADING_PTHREAD in Debian's build).
#include "tls_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/error.h>
#include <psa/crypto.h>

#define TICKET_LIFETIME_S 3600

// Authenticated ciphers with forward secrecy only. AES-128 first: least CPU where AES instructions exist.
static const int cipher_suites[] = {
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

static const char *alpn[] = {"http/1.1", NULL};

// Where systems keep their roots: Debian, Fedora, openSUSE, Alpine and the BSDs.
static const char *const system_roots[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
};

static tls_context *context_new(int endpoint)
{
    tls_context *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->refs = 1;
    mbedtls_ssl_config_init(&c->config);
    mbedtls_entropy_init(&c->entropy);
    mbedtls_ctr_drbg_init(&c->rng);
    mbedtls_x509_crt_init(&c->certificates);
    mbedtls_pk_init(&c->key);
    mbedtls_ssl_ticket_init(&c->tickets);
    if (psa_crypto_init() != PSA_SUCCESS || // TLS 1.3 needs it; any number of calls
        mbedtls_ctr_drbg_seed(&c->rng, mbedtls_entropy_func, &c->entropy, NULL, 0) != 0 ||
        mbedtls_ssl_config_defaults(&c->config, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) !=
            0 ||
        mbedtls_ssl_conf_alpn_protocols(&c->config, alpn) != 0) {
        tls_context_drop(c);
        return NULL;
    }
    mbedtls_ssl_conf_rng(&c->config, mbedtls_ctr_drbg_random, &c->rng);
    mbedtls_ssl_conf_min_tls_version(&c->config, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(&c->config, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_ciphersuites(&c->config, cipher_suites);
    // No resumption without a fresh key exchange: a stolen ticket key then opens no recorded traffic.
    mbedtls_ssl_conf_tls13_key_exchange_modes(&c->config, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL |
                                                              MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL);
    return c;
}

tls_context *tls_context_hold(tls_context *c)
{
    c->refs++;
    return c;
}

void tls_context_drop(tls_context *c)
{
    if (!c || --c->refs > 0)
        return;
    mbedtls_ssl_ticket_free(&c->tickets);
    mbedtls_pk_free(&c->key);
    mbedtls_x509_crt_free(&c->certificates);
    mbedtls_ctr_drbg_free(&c->rng);
    mbedtls_entropy_free(&c->entropy);
    mbedtls_ssl_config_free(&c->config);
    free(c);
}

static tls_context *fail(tls_context *c, char *message, size_t size, const char *what, const char *file, int rc)
{
    snprintf(message, size, "%s%s%s (Mbed TLS error -0x%04x)", what, file ? ": " : "", file ? file : "",
             (unsigned int)-rc);
    tls_context_drop(c);
    return NULL;
}

tls_context *tls_client_context_new(const char *ca_file, char *message, size_t message_size)
{
    if (!ca_file)
        ca_file = getenv("SSL_CERT_FILE");
    for (size_t i = 0; !ca_file && i < sizeof(system_roots) / sizeof(*system_roots); i++)
        if (access(system_roots[i], R_OK) == 0)
            ca_file = system_roots[i];
    if (!ca_file) {
        snprintf(message, message_size,
                 "no trusted certificates: the system has none in the usual places "
                 "(install ca-certificates, or name a ca_file)");
        return NULL;
    }
    tls_context *c = context_new(MBEDTLS_SSL_IS_CLIENT);
    if (!c)
        return fail(c, message, message_size, "cannot start TLS", NULL, 0);
    int rc = mbedtls_x509_crt_parse_file(&c->certificates, ca_file); // > 0: so many are in a form unknown here
    if (rc < 0 || c->certificates.version == 0)
        return fail(c, message, message_size, "no usable certificate in", ca_file, rc);
    mbedtls_ssl_conf_ca_chain(&c->config, &c->certificates, NULL);
    mbedtls_ssl_conf_authmode(&c->config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(&c->config,
                                                             MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    return c;
}

tls_context *tls_server_context_new(const char *certificate_file, const char *key_file, char *message,
                                    size_t message_size)
{
    tls_context *c = context_new(MBEDTLS_SSL_IS_SERVER);
    if (!c)
        return fail(c, message, message_size, "cannot start TLS", NULL, 0);
    int rc = mbedtls_x509_crt_parse_file(&c->certificates, certificate_file);
    if (rc != 0)
        return fail(c, message, message_size, "cannot read the certificate", certificate_file, rc);
    rc = mbedtls_pk_parse_keyfile(&c->key, key_file, NULL, mbedtls_ctr_drbg_random, &c->rng);
    if (rc != 0)
        return fail(c, message, message_size, "cannot read the key", key_file, rc);
    rc = mbedtls_pk_check_pair(&c->certificates.pk, &c->key, mbedtls_ctr_drbg_random, &c->rng);
    if (rc != 0)
        return fail(c, message, message_size, "the key does not belong to the certificate", key_file, rc);
    rc = mbedtls_ssl_conf_own_cert(&c->config, &c->certificates, &c->key);
    if (rc == 0)
        rc = mbedtls_ssl_ticket_setup(&c->tickets, mbedtls_ctr_drbg_random, &c->rng, MBEDTLS_CIPHER_AES_256_GCM,
                                      TICKET_LIFETIME_S);
    if (rc != 0)
        return fail(c, message, message_size, "cannot set up the certificate", certificate_file, rc);
    mbedtls_ssl_conf_session_tickets_cb(&c->config, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &c->tickets);
    mbedtls_ssl_conf_cert_req_ca_list(&c->config, MBEDTLS_SSL_CERT_REQ_CA_LIST_DISABLED);
    return c;
}
