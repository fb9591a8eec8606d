#include "core/sigv4_canonical.h"

#include <string.h>

static const char HEX[] = "0123456789ABCDEF";

// The lower-case byte where the byte is a token character (RFC 9110), 0 elsewhere.
static const char token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+',
    ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',   ['~'] = '~', ['0'] = '0',
    ['1'] = '1', ['2'] = '2', ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6',   ['7'] = '7', ['8'] = '8',
    ['9'] = '9', ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e',   ['F'] = 'f', ['G'] = 'g',
    ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm',   ['N'] = 'n', ['O'] = 'o',
    ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u',   ['V'] = 'v', ['W'] = 'w',
    ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b', ['c'] = 'c',   ['d'] = 'd', ['e'] = 'e',
    ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i', ['j'] = 'j', ['k'] = 'k',   ['l'] = 'l', ['m'] = 'm',
    ['n'] = 'n', ['o'] = 'o', ['p'] = 'p', ['q'] = 'q', ['r'] = 'r', ['s'] = 's',   ['t'] = 't', ['u'] = 'u',
    ['v'] = 'v', ['w'] = 'w', ['x'] = 'x', ['y'] = 'y', ['z'] = 'z',
};

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

// ---- where canonical text goes: into the hash, through a buffer that keeps the pieces together ----

typedef struct sink {
    sha256 hash;
    size_t used;
    char buffer[1024];
} sink;

static void sink_flush(sink *s)
{
    sha256_update(&s->hash, s->buffer, s->used);
    s->used = 0;
}

static inline void sink_byte(sink *s, char c)
{
    if (s->used == sizeof(s->buffer))
        sink_flush(s);
    s->buffer[s->used++] = c;
}

static void sink_text(sink *s, const char *data, size_t size)
{
    if (size > sizeof(s->buffer) - s->used) {
        sink_flush(s);
        if (size > sizeof(s->buffer)) {
            sha256_update(&s->hash, data, size);
            return;
        }
    }
    memcpy(s->buffer + s->used, data, size);
    s->used += size;
}

static void sink_encoded(sink *s, uint8_t c)
{
    if (is_unreserved(c)) {
        sink_byte(s, (char)c);
    } else {
        sink_byte(s, '%');
        sink_byte(s, HEX[c >> 4]);
        sink_byte(s, HEX[c & 15]);
    }
}

// ---- path ----

static bool is_dot(const char *text, size_t size) // a segment that leaves nothing of itself
{
    return size == 0 || (size == 1 && text[0] == '.');
}

static bool is_dot_dot(const char *text, size_t size)
{
    return size == 2 && text[0] == '.' && text[1] == '.';
}

static size_t segment_size(const char *p, const char *end)
{
    const char *slash = memchr(p, '/', (size_t)(end - p));
    return (size_t)((slash ? slash : end) - p);
}

static bool is_normal_path(sigv4_text path)
{
    if (path.size == 0 || path.data[0] != '/')
        return false;
    const char *end = path.data + path.size;
    for (const char *p = path.data + 1; p < end;) {
        size_t size = segment_size(p, end);
        if (is_dot(p, size) || is_dot_dot(p, size))
            return false;
        p += size + 1;
    }
    return true;
}

static void sink_path(sink *s, sigv4_text path)
{
    for (size_t i = 0; i < path.size; i++) {
        if (path.data[i] == '/')
            sink_byte(s, '/');
        else
            sink_encoded(s, (uint8_t)path.data[i]);
    }
}

// A path with empty or dot segments: those go, ".." takes the segment before it, a closing slash stays if anything
// is left. Rare, so it is built aside first.
__attribute__((noinline)) static enum sigv4_error sink_odd_path(sink *s, sigv4_text path)
{
    char normal[SIGV4_ODD_PATH_MAX_BYTES + 1];
    const char *end = path.data + path.size;
    size_t used = 0;
    if (path.size >= sizeof(normal))
        return SIGV4_TOO_LARGE;
    for (const char *p = path.data; p < end;) {
        size_t size = segment_size(p, end);
        if (is_dot_dot(p, size)) {
            while (used > 0 && normal[--used] != '/')
                ;
        } else if (!is_dot(p, size)) {
            normal[used++] = '/';
            memcpy(normal + used, p, size);
            used += size;
        }
        p += size + 1;
    }
    if (used == 0 || end[-1] == '/')
        normal[used++] = '/';
    sink_path(s, (sigv4_text){normal, used});
    return SIGV4_OK;
}

// ---- query ----

typedef struct pair {
    sigv4_text key, value; // as sent
} pair;

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Takes one decoded byte from the front of text. "+" is a space, as servers read it; a "%" that begins no escape is
// itself.
static uint8_t take_decoded(sigv4_text *text)
{
    const char *p = text->data;
    size_t size = 1;
    uint8_t c = (uint8_t)*p;
    if (c == '+') {
        c = ' ';
    } else if (c == '%' && text->size >= 3 && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0) {
        c = (uint8_t)(hex_value(p[1]) << 4 | hex_value(p[2]));
        size = 3;
    }
    text->data += size;
    text->size -= size;
    return c;
}

// Order of two texts' encoded forms, byte by byte. An escape begins with "%", which is below every unreserved byte,
// and two escapes are ordered like their bytes (upper-case digits are).
static int compare_encoded(sigv4_text a, sigv4_text b)
{
    while (a.size > 0 && b.size > 0) {
        uint8_t x = take_decoded(&a), y = take_decoded(&b);
        if (x == y)
            continue;
        bool is_x_plain = is_unreserved(x), is_y_plain = is_unreserved(y);
        if (is_x_plain != is_y_plain)
            return is_x_plain ? 1 : -1;
        return x < y ? -1 : 1;
    }
    return (a.size > 0) - (b.size > 0);
}

static int compare_pairs(const pair *a, const pair *b)
{
    int order = compare_encoded(a->key, b->key);
    return order != 0 ? order : compare_encoded(a->value, b->value);
}

// Splits and sorts; -1: too many.
static int sort_pairs(sigv4_text query, pair pairs[SIGV4_PAIRS_MAX])
{
    int count = 0;
    const char *end = query.data + query.size;
    for (const char *p = query.data; p < end;) {
        const char *stop = memchr(p, '&', (size_t)(end - p));
        stop = stop ? stop : end;
        if (stop > p) {
            const char *equals = memchr(p, '=', (size_t)(stop - p));
            pair now = {{p, (size_t)((equals ? equals : stop) - p)}, {NULL, 0}};
            if (equals)
                now.value = (sigv4_text){equals + 1, (size_t)(stop - equals - 1)};
            if (count == SIGV4_PAIRS_MAX)
                return -1;
            int at = count++;
            for (; at > 0 && compare_pairs(&pairs[at - 1], &now) > 0; at--)
                pairs[at] = pairs[at - 1];
            pairs[at] = now;
        }
        p = stop + 1;
    }
    return count;
}

static void sink_recoded(sink *s, sigv4_text text)
{
    while (text.size > 0)
        sink_encoded(s, take_decoded(&text));
}

__attribute__((noinline)) static enum sigv4_error sink_query(sink *s, sigv4_text query)
{
    pair pairs[SIGV4_PAIRS_MAX];
    int count = sort_pairs(query, pairs);
    if (count < 0)
        return SIGV4_TOO_LARGE;
    for (int i = 0; i < count; i++) {
        if (i > 0)
            sink_byte(s, '&');
        sink_recoded(s, pairs[i].key);
        sink_byte(s, '=');
        sink_recoded(s, pairs[i].value);
    }
    return SIGV4_OK;
}

static char *put_recoded(char *out, const char *end, sigv4_text text) // NULL: no room
{
    while (text.size > 0) {
        uint8_t c = take_decoded(&text);
        if (end - out < 3)
            return NULL;
        if (is_unreserved(c)) {
            *out++ = (char)c;
        } else {
            *out++ = '%';
            *out++ = HEX[c >> 4];
            *out++ = HEX[c & 15];
        }
    }
    return out;
}

enum sigv4_error sigv4_canonical_query(sigv4_text query, char *out, size_t room, size_t *size)
{
    pair pairs[SIGV4_PAIRS_MAX];
    const char *end = out + room;
    char *p = out;
    int count = sort_pairs(query, pairs);
    if (count < 0)
        return SIGV4_TOO_LARGE;
    for (int i = 0; i < count; i++) {
        if (end - p < 2)
            return SIGV4_NO_ROOM;
        if (i > 0)
            *p++ = '&';
        p = put_recoded(p, end, pairs[i].key);
        if (!p || p == end)
            return SIGV4_NO_ROOM;
        *p++ = '=';
        p = put_recoded(p, end, pairs[i].value);
        if (!p)
            return SIGV4_NO_ROOM;
    }
    *size = (size_t)(p - out);
    return SIGV4_OK;
}

// ---- headers ----

bool sigv4_name_is(sigv4_text name, const char *lower)
{
    size_t i = 0;
    for (; i < name.size && lower[i]; i++) {
        if (token_lower[(uint8_t)name.data[i]] != lower[i])
            return false;
    }
    return i == name.size && lower[i] == '\0';
}

static bool begins_with(sigv4_text name, const char *lower, size_t size)
{
    return name.size > size && sigv4_name_is((sigv4_text){name.data, size}, lower);
}

// The vendor's signers leave out all but traceparent, tracestate, baggage, content-length, accept-encoding and date
// of these; those six are what proxies on the way change.
bool sigv4_is_unsignable(sigv4_text name)
{
    static const char *const names[][5] = {
        [2] = {"te"},
        [4] = {"from", "date"},
        [6] = {"expect", "pragma"},
        [7] = {"referer", "trailer", "upgrade", "baggage"},
        [10] = {"connection", "user-agent", "keep-alive", "tracestate"},
        [11] = {"traceparent"},
        [12] = {"max-forwards"},
        [13] = {"authorization", "cache-control"},
        [14] = {"content-length"},
        [15] = {"accept-encoding", "x-amzn-trace-id"},
        [17] = {"transfer-encoding"},
    };
    if (name.size < sizeof(names) / sizeof(*names)) {
        for (const char *const *known = names[name.size]; *known; known++) {
            if (sigv4_name_is(name, *known))
                return true;
        }
    }
    return begins_with(name, "proxy-", 6) || begins_with(name, "sec-", 4);
}

static int compare_picks(const sigv4_pick *a, const sigv4_pick *b)
{
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    sigv4_text x = a->header->name, y = b->header->name;
    for (size_t i = sizeof(a->key); i < x.size && i < y.size; i++) {
        int order = (uint8_t)token_lower[(uint8_t)x.data[i]] - (uint8_t)token_lower[(uint8_t)y.data[i]];
        if (order != 0)
            return order;
    }
    return (x.size > y.size) - (x.size < y.size);
}

enum sigv4_error sigv4_pick_add(sigv4_picks *picks, const sigv4_header *header)
{
    sigv4_pick now = {0, header};
    sigv4_text name = header->name;
    if (name.size == 0)
        return SIGV4_BAD_HEADER;
    for (size_t i = 0; i < sizeof(now.key); i++) {
        char lower = i < name.size ? token_lower[(uint8_t)name.data[i]] : '\0';
        if (i < name.size && !lower)
            return SIGV4_BAD_HEADER;
        now.key = now.key << 8 | (uint8_t)lower;
    }
    for (size_t i = sizeof(now.key); i < name.size; i++) {
        if (!token_lower[(uint8_t)name.data[i]])
            return SIGV4_BAD_HEADER;
    }
    if (picks->count == SIGV4_HEADERS_MAX)
        return SIGV4_TOO_LARGE;
    size_t at = picks->count++;
    for (; at > 0 && compare_picks(&picks->list[at - 1], &now) > 0; at--)
        picks->list[at] = picks->list[at - 1];
    picks->list[at] = now;
    return SIGV4_OK;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Every run of blanks and line ends becomes one space, none at either end.
static void sink_value(sink *s, sigv4_text value)
{
    const char *p = value.data, *end = p + value.size;
    bool is_first = true;
    while (p < end) {
        while (p < end && is_space(*p))
            p++;
        const char *word = p;
        while (p < end && !is_space(*p))
            p++;
        if (p == word)
            return;
        if (!is_first)
            sink_byte(s, ' ');
        sink_text(s, word, (size_t)(p - word));
        is_first = false;
    }
}

enum sigv4_error sigv4_canonical_hash(sigv4_text method, sigv4_text target, const sigv4_picks *picks,
                                      sigv4_text payload_hash, char *names, size_t room, size_t *names_size,
                                      uint8_t digest[SHA256_SIZE])
{
    sink s; // not zeroed: only what is written is read
    enum sigv4_error error = SIGV4_OK;
    sigv4_text path = target, query = {NULL, 0};
    const char *question = target.size > 0 ? memchr(target.data, '?', target.size) : NULL;
    if (question) {
        path.size = (size_t)(question - target.data);
        query = (sigv4_text){question + 1, target.size - path.size - 1};
    }
    sha256_init(&s.hash);
    s.used = 0;

    sink_text(&s, method.data, method.size);
    sink_byte(&s, '\n');
    if (is_normal_path(path))
        sink_path(&s, path);
    else
        error = sink_odd_path(&s, path);
    sink_byte(&s, '\n');
    if (query.size > 0 && error == SIGV4_OK)
        error = sink_query(&s, query);
    if (error != SIGV4_OK)
        return error;
    sink_byte(&s, '\n');

    size_t used = 0;
    for (size_t i = 0; i < picks->count; i++) {
        const sigv4_header *header = picks->list[i].header;
        if (i > 0 && compare_picks(&picks->list[i - 1], &picks->list[i]) == 0) {
            sink_byte(&s, ','); // repeated: its values are one line
        } else {
            if (i > 0)
                sink_byte(&s, '\n');
            if (room - used < header->name.size + 1)
                return SIGV4_NO_ROOM;
            if (i > 0)
                names[used++] = ';';
            for (size_t k = 0; k < header->name.size; k++)
                names[used + k] = token_lower[(uint8_t)header->name.data[k]];
            sink_text(&s, names + used, header->name.size);
            used += header->name.size;
            sink_byte(&s, ':');
        }
        sink_value(&s, header->value);
    }
    *names_size = used;
    sink_text(&s, "\n\n", picks->count > 0 ? 2 : 1);
    sink_text(&s, names, used);
    sink_byte(&s, '\n');
    sink_text(&s, payload_hash.data, payload_hash.size);
    sink_flush(&s);
    sha256_final(&s.hash, digest);
    return SIGV4_OK;
}
