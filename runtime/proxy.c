// proxy: the addresses of proxies, and who is not reached through one (the conventions of HTTPS_PROXY and NO_PROXY
// as curl has them).
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client_internal.h"
#include "core/base64.h"

void proxy_free(proxy *p)
{
    if (!p)
        return;
    free(p->host);
    free(p->authorization);
    free(p);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// user:password, percent-encoded, to "Basic ...".
static char *basic(const char *text, size_t size)
{
    char *plain = malloc(size + 1);
    size_t used = 0;
    for (size_t i = 0; plain && i < size; i++) {
        bool is_coded = text[i] == '%' && i + 2 < size && hex_digit(text[i + 1]) >= 0 && hex_digit(text[i + 2]) >= 0;
        plain[used++] = is_coded ? (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2])) : text[i];
        i += is_coded ? 2 : 0;
    }
    size_t coded = base64_encoded_size(BASE64_STANDARD, used);
    char *value = plain ? malloc(6 + coded + 1) : NULL;
    if (value) {
        memcpy(value, "Basic ", 6);
        base64_encode(BASE64_STANDARD, plain, used, value + 6);
        value[6 + coded] = '\0';
    }
    free(plain);
    return value;
}

proxy *proxy_parse(const char *text, bool *ok)
{
    *ok = true;
    if (!text || !*text)
        return NULL;
    *ok = false;
    if (strncasecmp(text, "http://", 7) == 0)
        text += 7;
    else if (strstr(text, "://")) // https and socks proxies are not spoken to
        return NULL;
    size_t size = strcspn(text, "/");
    if (text[size] != '\0' && text[size + 1] != '\0')
        return NULL;
    proxy *p = calloc(1, sizeof(*p));
    const char *at = memrchr(text, '@', size);
    if (!p)
        return NULL;
    if (at) {
        p->authorization = basic(text, (size_t)(at - text));
        size -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    const char *end = text + size, *colon = memrchr(text, ':', size);
    bool is_v6 = size > 0 && text[0] == '[';
    const char *host_end = is_v6 ? memchr(text, ']', size) : colon ? colon : end;
    const char *after = host_end ? host_end + (is_v6 ? 1 : 0) : NULL;
    p->port = 8080;
    if (after && after < end) {
        char *rest = NULL;
        p->port = after[0] == ':' ? (int)strtol(after + 1, &rest, 10) : 0;
        if (rest != end)
            p->port = 0;
    }
    text += is_v6 ? 1 : 0;
    if (host_end && host_end > text)
        p->host = strndup(text, (size_t)(host_end - text));
    if (!p->host || p->port <= 0 || p->port > 65535 || (at && !p->authorization)) {
        proxy_free(p);
        return NULL;
    }
    *ok = true;
    return p;
}

// "10.0.0.0/8" for an IPv4 host.
static bool is_in_network(const char *entry, const char *host)
{
    char network[INET_ADDRSTRLEN];
    const char *slash = strchr(entry, '/');
    struct in_addr a, b;
    if (!slash || (size_t)(slash - entry) >= sizeof(network))
        return false;
    memcpy(network, entry, (size_t)(slash - entry));
    network[slash - entry] = '\0';
    char *end;
    long bits = strtol(slash + 1, &end, 10);
    if (*end || end == slash + 1 || bits < 0 || bits > 32 || inet_pton(AF_INET, network, &a) != 1 ||
        inet_pton(AF_INET, host, &b) != 1)
        return false;
    uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    return (ntohl(a.s_addr) & mask) == (ntohl(b.s_addr) & mask);
}

static bool is_match(char *entry, const char *host, int port)
{
    if (strcmp(entry, "*") == 0 || is_in_network(entry, host))
        return true;
    char *colon = strrchr(entry, ':');
    if (colon && strchr(entry, ':') == colon) { // host:port; several colons: an IPv6 address
        if (atoi(colon + 1) != port)
            return false;
        *colon = '\0';
    }
    entry += entry[0] == '*' && entry[1] == '.' ? 2 : entry[0] == '.' ? 1 : 0;
    size_t entry_size = strlen(entry), host_size = strlen(host);
    if (entry_size == 0 || entry_size > host_size || strcasecmp(host + host_size - entry_size, entry) != 0)
        return false;
    return entry_size == host_size || host[host_size - entry_size - 1] == '.';
}

bool proxy_is_excluded(const char *list, const char *host, int port)
{
    char entry[256];
    while (list && *list) {
        list += strspn(list, ", \t");
        size_t size = strcspn(list, ", \t");
        if (size > 0 && size < sizeof(entry)) {
            memcpy(entry, list, size);
            entry[size] = '\0';
            if (is_match(entry, host, port))
                return true;
        }
        list += size;
    }
    return false;
}
