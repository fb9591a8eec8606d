// TLS client against TLS server in memory. `tls_test --certificates DIR` only writes the test certificates
// (used by the specs that need a TLS listener).
#include "core/tls.h"

#include <unistd.h>

#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include "core/tls_memory.h"
#include "test.h"
#include "tls_certificates.h"

#include <mbedtls/ssl.h>

static char directory[] = "/tmp/moongate-tls-XXXXXX";

static const char *path(const char *name)
{
    static char text[4][128];
    static int next;
    char *p = text[next++ % 4];
    snprintf(p, 128, "%s/%s", directory, name);
    return p;
}

typedef struct pair {
    tls_session *client, *server;
    tls_output to_server, to_client;
    int client_rc, server_rc;
} pair;

// Gives `from` to the handshake of t, `step` bytes at a time; keeps what is left over.
static int feed(tls_session *t, tls_output *from, tls_output *to, size_t step)
{
    int rc = TLS_MORE;
    size_t taken = 0;
    do {
        size_t size = from->size - taken < step ? from->size - taken : step;
        tls_input in = {from->data + taken, size};
        rc = tls_handshake(t, &in, to);
        taken += size - in.size;
    } while (rc == TLS_MORE && taken < from->size);
    if (taken > 0)
        memmove(from->data, from->data + taken, from->size - taken);
    from->size -= taken;
    return rc;
}

static void shake(pair *p, size_t step)
{
    p->client_rc = p->server_rc = TLS_MORE;
    for (int turn = 0; turn < 20; turn++) {
        if (p->client_rc == TLS_MORE)
            p->client_rc = feed(p->client, &p->to_client, &p->to_server, step);
        if (p->server_rc == TLS_MORE)
            p->server_rc = feed(p->server, &p->to_server, &p->to_client, step);
    }
}

static void pair_open(pair *p, tls_context *client, tls_context *server, const char *host, tls_ticket *ticket)
{
    memset(p, 0, sizeof(*p));
    p->client = tls_session_new(client, host, ticket);
    p->server = tls_session_new(server, NULL, NULL);
}

static void pair_close(pair *p)
{
    tls_session_free(p->client);
    tls_session_free(p->server);
    tls_output_free(&p->to_client);
    tls_output_free(&p->to_server);
}

// Decrypts all of `from`, `step` bytes at a time. Returns the number of bytes; *end is the last result.
static size_t receive(tls_session *t, tls_output *from, tls_output *to, size_t step, char *buffer, size_t capacity,
                      int *end)
{
    size_t size = 0, taken = 0;
    *end = 0;
    while (taken < from->size && *end >= 0) {
        size_t n = from->size - taken < step ? from->size - taken : step;
        tls_input in = {from->data + taken, n};
        while ((*end = tls_read(t, &in, buffer + size, capacity - size, to)) > 0)
            size += (size_t)*end;
        taken += n - in.size;
    }
    from->size = 0;
    return size;
}

static tls_context *client_context(const char *roots)
{
    char message[256] = "";
    tls_context *c = tls_client_context_new(path(roots), message, sizeof(message));
    CHECK_TEXT(message, "");
    return c;
}

static tls_context *server_context(const char *name)
{
    char message[256] = "", key[32], pem[32];
    snprintf(key, sizeof(key), "%s.key", name);
    snprintf(pem, sizeof(pem), "%s.pem", name);
    tls_context *c = tls_server_context_new(path(pem), path(key), message, sizeof(message));
    CHECK_TEXT(message, "");
    return c;
}

static void set_version(tls_context *c, mbedtls_ssl_protocol_version version)
{
    // The config is the second member of the context, behind the count of references.
    mbedtls_ssl_config *config = (mbedtls_ssl_config *)(void *)((char *)c + sizeof(size_t));
    mbedtls_ssl_conf_max_tls_version(config, version);
    mbedtls_ssl_conf_min_tls_version(config, version);
}

static void test_exchange(mbedtls_ssl_protocol_version version, size_t step)
{
    tls_context *client = client_context("authority.pem"), *server = server_context("good");
    set_version(client, version);
    pair p;
    pair_open(&p, client, server, "localhost", NULL);
    tls_output none = {0};
    CHECK(tls_write(p.client, "secret", 6, &none) == TLS_INTERNAL); // nothing before the verification
    CHECK(none.size == 0);
    shake(&p, step);
    CHECK(p.client_rc == TLS_DONE);
    CHECK(p.server_rc == TLS_DONE);
    CHECK(tls_is_ready(p.client) && !tls_is_resumed(p.client));
    CHECK_TEXT(tls_version(p.client), version == MBEDTLS_SSL_VERSION_TLS1_2 ? "TLSv1.2" : "TLSv1.3");

    size_t size = 100000;
    char *text = malloc(size), *got = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(i * 7 % 251);
    int end;
    CHECK(tls_write(p.client, text, size, &p.to_server) == 0);
    CHECK(tls_write(p.client, "", 0, &p.to_server) == 0);
    CHECK(receive(p.server, &p.to_server, &p.to_client, step, got, size + 1, &end) == size);
    CHECK(end == 0 && memcmp(text, got, size) == 0);
    CHECK(tls_write(p.server, text, 200, &p.to_client) == 0);
    CHECK(tls_write(p.server, text + 200, 300, &p.to_client) == 0);
    tls_end(p.server, &p.to_client);
    tls_end(p.server, &p.to_client);
    CHECK(tls_write(p.server, text, 1, &p.to_client) == TLS_INTERNAL);
    CHECK(receive(p.client, &p.to_client, &p.to_server, step, got, size, &end) == 500);
    CHECK(end == TLS_END && memcmp(text, got, 500) == 0);
    tls_input nothing = {NULL, 0};
    CHECK(tls_read(p.client, &nothing, got, 10, &p.to_server) == TLS_END);
    free(text);
    free(got);
    pair_close(&p);
    tls_context_drop(client);
    tls_context_drop(server);
}

static tls_ticket *connect_once(tls_context *client, tls_context *server, const char *host, tls_ticket *ticket,
                                bool is_resumed)
{
    pair p;
    char buffer[16];
    int end;
    pair_open(&p, client, server, host, ticket);
    shake(&p, SIZE_MAX);
    CHECK(p.client_rc == TLS_DONE);
    CHECK(tls_is_resumed(p.client) == is_resumed);
    CHECK(tls_write(p.server, "hello", 5, &p.to_client) == 0);
    CHECK(receive(p.client, &p.to_client, &p.to_server, SIZE_MAX, buffer, sizeof(buffer), &end) == 5);
    CHECK(tls_write(p.client, "hello", 5, &p.to_server) == 0);
    CHECK(receive(p.server, &p.to_server, &p.to_client, SIZE_MAX, buffer, sizeof(buffer), &end) == 5);
    tls_ticket *next = tls_take_ticket(p.client);
    CHECK(tls_take_ticket(p.client) == NULL);
    pair_close(&p);
    return next;
}

static void test_resumption(mbedtls_ssl_protocol_version version)
{
    tls_context *client = client_context("authority.pem"), *server = server_context("good");
    tls_context *restarted = server_context("good");
    set_version(client, version);
    tls_ticket *first = connect_once(client, server, "localhost", NULL, false);
    CHECK(first && tls_ticket_is_fresh(first));
    tls_ticket *second = connect_once(client, server, "localhost", first, true);
    CHECK(second != NULL || version == MBEDTLS_SSL_VERSION_TLS1_2);
    tls_ticket *third = connect_once(client, server, "localhost", second ? second : first, true);
    tls_ticket *fourth = connect_once(client, restarted, "localhost", first, false); // its keys are others
    CHECK(fourth != NULL);
    tls_ticket_free(first);
    tls_ticket_free(second);
    tls_ticket_free(third);
    tls_ticket_free(fourth);
    tls_context_drop(client);
    tls_context_drop(server);
    tls_context_drop(restarted);
}

static void test_refused(const char *certificate, const char *host, const char *roots, int want)
{
    tls_context *client = client_context(roots), *server = server_context(certificate);
    for (int i = 0; i < 2; i++) {
        pair p;
        char text[256];
        set_version(client, i ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2);
        pair_open(&p, client, server, host, NULL);
        shake(&p, SIZE_MAX);
        CHECK_TEXT(tls_error_name(p.client_rc), tls_error_name(want));
        CHECK(!tls_is_ready(p.client));
        CHECK(tls_certificate_text(p.client, text, sizeof(text))[0] != '\0');
        CHECK(tls_write(p.client, "secret", 6, &p.to_server) == TLS_INTERNAL);
        CHECK(p.server_rc < 0); // told by an alert
        pair_close(&p);
    }
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_names(void)
{
    tls_context *client = client_context("authority.pem"), *server = server_context("address");
    tls_ticket_free(connect_once(client, server, "127.0.0.1", NULL, false));
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_versions(void)
{
    // A ServerHello of TLS 1.0, and an alert "protocol version", and HTTP on the TLS port.
    static const char old[] = "\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01"
                              "0123456789abcdef0123456789abcdef\x00\xc0\x14\x00";
    static const char alert[] = "\x15\x03\x01\x00\x02\x02\x46";
    static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    static const struct {
        const char *data;
        size_t size;
        int want;
    } cases[] = {{old, sizeof(old) - 1, TLS_VERSION}, {alert, 7, TLS_VERSION}, {http, sizeof(http) - 1, TLS_BROKEN}};
    tls_context *client = client_context("authority.pem");
    for (size_t i = 0; i < 3; i++) {
        tls_session *t = tls_session_new(client, "localhost", NULL);
        tls_output out = {0};
        tls_input in = {NULL, 0};
        CHECK(tls_handshake(t, &in, &out) == TLS_MORE);
        in = (tls_input){cases[i].data, cases[i].size};
        CHECK_TEXT(tls_error_name(tls_handshake(t, &in, &out)), tls_error_name(cases[i].want));
        tls_output_free(&out);
        tls_session_free(t);
    }
    tls_context_drop(client);
}

static void test_broken_record(void)
{
    tls_context *client = client_context("authority.pem"), *server = server_context("good");
    for (size_t at = 0; at < 30; at++) {
        pair p;
        char buffer[64];
        int end;
        pair_open(&p, client, server, "localhost", NULL);
        shake(&p, SIZE_MAX);
        receive(p.client, &p.to_client, &p.to_server, SIZE_MAX, buffer, sizeof(buffer), &end); // tickets
        tls_write(p.server, "hello", 5, &p.to_client);
        p.to_client.data[at % p.to_client.size] ^= 0x20;
        size_t size = receive(p.client, &p.to_client, &p.to_server, SIZE_MAX, buffer, sizeof(buffer), &end);
        CHECK(size == 0 && end != TLS_END); // never a byte, never an orderly end
        pair_close(&p);
    }
    tls_context_drop(client);
    tls_context_drop(server);
}

static void test_files(void)
{
    char message[256];
    CHECK(tls_client_context_new(path("absent.pem"), message, sizeof(message)) == NULL);
    CHECK(strstr(message, "absent.pem") != NULL);
    CHECK(tls_server_context_new(path("good.pem"), path("authority.key"), message, sizeof(message)) == NULL);
    CHECK(strstr(message, "does not belong") != NULL);
    CHECK(tls_server_context_new(path("good.pem"), path("absent.key"), message, sizeof(message)) == NULL);
    CHECK(tls_server_context_new(path("absent.pem"), path("good.key"), message, sizeof(message)) == NULL);
}

static void test_memory(void)
{
    size_t before = tls_memory_blocks();
    char *blocks[100];
    for (int i = 0; i < 100; i++) {
        blocks[i] = tls_calloc(1, 16717);
        blocks[i][0] = blocks[i][16716] = 'x';
    }
    CHECK(tls_memory_blocks() == before + 100);
    tls_memory_trim(blocks[7], 1);
    CHECK(blocks[7][0] == 'x' && blocks[7][16716] == 0);
    for (int i = 0; i < 100; i++)
        tls_free(blocks[i]);
    CHECK(tls_memory_blocks() == before);
    char *again = tls_calloc(1, 16717);
    CHECK(again[0] == 0 && again[16716] == 0); // freed pages come back as zeros
    tls_free(again);
    char *small = tls_calloc(10, 10), *large = tls_calloc(1, 100000);
    CHECK(small && large && tls_memory_blocks() == before);
    tls_free(small);
    tls_free(large);
    tls_free(NULL);
    CHECK(tls_calloc(SIZE_MAX, 2) == NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--certificates") == 0) {
        certificates_write(argv[2]);
        return 0;
    }
    if (!mkdtemp(directory))
        return 2;
    certificates_write(directory);
    for (int i = 0; i < 2; i++) {
        mbedtls_ssl_protocol_version version = i ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2;
        test_exchange(version, SIZE_MAX);
        test_exchange(version, 1);
        test_exchange(version, 1000);
        test_resumption(version);
    }
    test_names();
    test_refused("expired", "localhost", "authority.pem", TLS_EXPIRED);
    test_refused("future", "localhost", "authority.pem", TLS_NOT_YET_VALID);
    test_refused("good", "example.com", "authority.pem", TLS_WRONG_NAME);
    test_refused("good", "127.0.0.1", "authority.pem", TLS_WRONG_NAME);
    test_refused("stranger", "localhost", "authority.pem", TLS_UNKNOWN_CA);
    test_versions();
    test_broken_record();
    test_files();
    test_memory();
    static const char *names[] = {"authority", "other", "good", "address", "expired", "future", "stranger"};
    for (size_t i = 0; i < 7; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%s.pem", names[i]);
        unlink(path(name));
        snprintf(name, sizeof(name), "%s.key", names[i]);
        unlink(path(name));
    }
    rmdir(directory);
    return test_end();
}
