// Certificates for tests, made when they are needed, so that nothing committed can expire. P-256 keys.
#ifndef MOONGATE_SPEC_TLS_CERTIFICATES_H
#define MOONGATE_SPEC_TLS_CERTIFICATES_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

typedef struct certificate_maker {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context rng;
} certificate_maker;

static inline void certificate_require(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "certificates: %s failed: -0x%04x\n", what, (unsigned int)-rc);
    exit(2);
}

static inline void certificate_maker_init(certificate_maker *m)
{
    mbedtls_entropy_init(&m->entropy);
    mbedtls_ctr_drbg_init(&m->rng);
    certificate_require(mbedtls_ctr_drbg_seed(&m->rng, mbedtls_entropy_func, &m->entropy, NULL, 0), "seed");
}

static inline void certificate_maker_free(certificate_maker *m)
{
    mbedtls_ctr_drbg_free(&m->rng);
    mbedtls_entropy_free(&m->entropy);
}

static inline void certificate_key(certificate_maker *m, mbedtls_pk_context *key)
{
    mbedtls_pk_init(key);
    certificate_require(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), "key");
    certificate_require(
        mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), mbedtls_ctr_drbg_random, &m->rng), "key");
}

// Writes NAME.pem and NAME.key into directory. issuer NULL: self-signed authority. host: DNS name or IPv4
// address, NULL for an authority. The validity is given in days from now.
static inline void certificate_write(certificate_maker *m, const char *directory, const char *name,
                                     mbedtls_pk_context *key, mbedtls_pk_context *issuer, const char *host,
                                     int from_days, int to_days)
{
    mbedtls_x509write_cert w;
    unsigned char pem[4096], serial[8], ip[4];
    char text[256], from[32], to[32];
    time_t now = time(NULL), begin = now + (time_t)from_days * 86400, end = now + (time_t)to_days * 86400;
    struct tm tm;
    mbedtls_x509write_crt_init(&w);
    mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&w, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&w, key);
    mbedtls_x509write_crt_set_issuer_key(&w, issuer ? issuer : key);
    snprintf(text, sizeof(text), "CN=Moongate test %s", issuer ? name : "authority");
    certificate_require(mbedtls_x509write_crt_set_subject_name(&w, text), "subject");
    certificate_require(mbedtls_x509write_crt_set_issuer_name(&w, "CN=Moongate test authority"), "issuer");
    strftime(from, sizeof(from), "%Y%m%d%H%M%S", gmtime_r(&begin, &tm));
    strftime(to, sizeof(to), "%Y%m%d%H%M%S", gmtime_r(&end, &tm));
    certificate_require(mbedtls_x509write_crt_set_validity(&w, from, to), "validity");
    mbedtls_ctr_drbg_random(&m->rng, serial, sizeof(serial));
    serial[0] = (serial[0] & 0x7f) | 1;
    certificate_require(mbedtls_x509write_crt_set_serial_raw(&w, serial, sizeof(serial)), "serial");
    certificate_require(mbedtls_x509write_crt_set_basic_constraints(&w, issuer ? 0 : 1, -1), "constraints");
    if (host) {
        mbedtls_x509_san_list san = {.next = NULL};
        if (inet_pton(AF_INET, host, ip) == 1) {
            san.node.type = MBEDTLS_X509_SAN_IP_ADDRESS;
            san.node.san.unstructured_name.p = ip;
            san.node.san.unstructured_name.len = 4;
        } else {
            san.node.type = MBEDTLS_X509_SAN_DNS_NAME;
            san.node.san.unstructured_name.p = (unsigned char *)(size_t)host;
            san.node.san.unstructured_name.len = strlen(host);
        }
        certificate_require(mbedtls_x509write_crt_set_subject_alternative_name(&w, &san), "name");
    }
    certificate_require(mbedtls_x509write_crt_pem(&w, pem, sizeof(pem), mbedtls_ctr_drbg_random, &m->rng), "pem");
    mbedtls_x509write_crt_free(&w);
    snprintf(text, sizeof(text), "%s/%s.pem", directory, name);
    FILE *f = fopen(text, "w");
    certificate_require(f ? 0 : -1, text);
    fputs((char *)pem, f);
    fclose(f);
    certificate_require(mbedtls_pk_write_key_pem(key, pem, sizeof(pem)), "key pem");
    snprintf(text, sizeof(text), "%s/%s.key", directory, name);
    f = fopen(text, "w");
    certificate_require(f ? 0 : -1, text);
    fputs((char *)pem, f);
    fclose(f);
}

// Fills directory with authority.pem (and .key), and, signed by it: good (for "localhost"), address
// (127.0.0.1), expired, future, and other (an authority that nobody trusts, self-signed) with stranger
// (for "localhost", signed by other).
static inline void certificates_write(const char *directory)
{
    certificate_maker m;
    mbedtls_pk_context authority, other, key;
    certificate_maker_init(&m);
    certificate_key(&m, &authority);
    certificate_key(&m, &other);
    certificate_key(&m, &key);
    certificate_write(&m, directory, "authority", &authority, NULL, NULL, -10, 10);
    certificate_write(&m, directory, "other", &other, NULL, NULL, -10, 10);
    certificate_write(&m, directory, "good", &key, &authority, "localhost", -1, 5);
    certificate_write(&m, directory, "address", &key, &authority, "127.0.0.1", -1, 5);
    certificate_write(&m, directory, "expired", &key, &authority, "localhost", -5, -1);
    certificate_write(&m, directory, "future", &key, &authority, "localhost", 1, 5);
    certificate_write(&m, directory, "stranger", &key, &other, "localhost", -1, 5);
    mbedtls_pk_free(&authority);
    mbedtls_pk_free(&other);
    mbedtls_pk_free(&key);
    certificate_maker_free(&m);
}

#endif
