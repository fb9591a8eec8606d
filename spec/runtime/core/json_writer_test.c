#include "core/json_writer.h"
#include "test.h"

#define TEXT(s) s, sizeof(s) - 1

static void check_written(json_writer *w, const char *want)
{
    bytes *b = json_writer_take(w);
    CHECK(b != NULL);
    if (!b)
        return;
    bytes_append(b, "", 1);
    CHECK_TEXT(b->data, want);
    bytes_drop(b);
}

static void test_values(void)
{
    json_writer *w = json_writer_new(0);
    json_writer_open_object(w);
    json_writer_key(w, TEXT("a\"\n"));
    json_writer_open_array(w);
    json_writer_integer(w, INT64_MIN);
    json_writer_integer(w, 0);
    json_writer_number(w, 0.1);
    json_writer_number(w, 1e300);
    json_writer_number(w, -0.0);
    json_writer_number(w, 9007199254740992.0);
    json_writer_boolean(w, true);
    json_writer_null(w);
    json_writer_string(w, TEXT("\x01\x1F\b\f\n\r\t\"\\/\x7F\xC3\xA9\0"));
    json_writer_open_object(w);
    json_writer_close_object(w);
    json_writer_raw(w, TEXT(" [ 1 ]"));
    json_writer_close_array(w);
    json_writer_key(w, TEXT("b"));
    json_writer_open_array(w);
    json_writer_close_array(w);
    json_writer_close_object(w);
    check_written(w, "{\"a\\\"\\n\":[-9223372036854775808,0,0.1,1e+300,-0,9007199254740992,true,null,"
                     "\"\\u0001\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\x7F\xC3\xA9\\u0000\",{}, [ 1 ]],\"b\":[]}");
    json_writer_string(w, TEXT("again"));
    check_written(w, "\"again\"");
    json_writer_free(w);
}

static void test_splices(void)
{
    static const char source[] = "{\"u\":\"data:image/png;base64,QUJD\",\"e\":\"\\u00e9\",\"o\":{ \"x\" : [] }}";
    json_error error;
    json_value v;
    json_document *d = json_document_parse_copy(TEXT(source), NULL, &error);
    json_writer *w = json_writer_new(10);
    json_writer_open_object(w);
    json_writer_key(w, TEXT("data"));
    json_document_get_key(d, JSON_ROOT, TEXT("u"), &v);
    json_writer_node_text(w, d, v.id, 22);
    json_writer_key(w, TEXT("joined"));
    json_writer_open_string(w);
    json_writer_text(w, TEXT("a\n"));
    json_document_get_key(d, JSON_ROOT, TEXT("e"), &v);
    json_writer_node_text(w, d, v.id, 0);
    json_writer_close_string(w);
    json_writer_key(w, TEXT("o"));
    json_document_get_key(d, JSON_ROOT, TEXT("o"), &v);
    json_writer_node(w, d, v.id);
    json_writer_close_object(w);
    json_document *written = json_writer_document(w);
    CHECK(written && written->base->nodes.count == 0); // not scanned yet
    CHECK(json_document_get_key(written, JSON_ROOT, TEXT("data"), &v) == JSON_STRING && v.size == 4);
    CHECK(json_document_get_key(written, JSON_ROOT, TEXT("joined"), &v) == JSON_STRING && v.size == 4);
    size_t size;
    const char *raw = json_document_raw(written, JSON_ROOT, &size);
    static const char want[] = "{\"data\":\"QUJD\",\"joined\":\"a\\n\\u00e9\",\"o\":{ \"x\" : [] }}";
    CHECK(size == sizeof(want) - 1 && memcmp(raw, want, size) == 0);
    json_writer_node_text(w, d, json_document_find(d, JSON_ROOT, &(json_step){"e", 1, 0}, 1), 1);
    CHECK(json_writer_error(w, false) != NULL);
    json_document_drop(written);
    json_document_drop(d);
    json_writer_free(w);
}

static void test_misuse(void)
{
    json_writer *w = json_writer_new(0);
#define MISUSE(...)                                                                                                    \
    do {                                                                                                               \
        __VA_ARGS__;                                                                                                   \
        CHECK(json_writer_error(w, true) != NULL && json_writer_take(w) == NULL);                                      \
        json_writer_reset(w);                                                                                          \
    } while (0)
    MISUSE((void)0);
    MISUSE(json_writer_open_array(w));
    MISUSE(json_writer_close_array(w));
    MISUSE(json_writer_open_array(w), json_writer_close_object(w));
    MISUSE(json_writer_open_object(w), json_writer_null(w));
    MISUSE(json_writer_open_object(w), json_writer_key(w, "a", 1), json_writer_key(w, "b", 1));
    MISUSE(json_writer_open_object(w), json_writer_key(w, "a", 1), json_writer_close_object(w));
    MISUSE(json_writer_key(w, "a", 1));
    MISUSE(json_writer_null(w), json_writer_null(w));
    MISUSE(json_writer_string(w, "\xC3", 1));
    MISUSE(json_writer_number(w, 0.0 / 0.0));
    MISUSE(json_writer_raw(w, "1,2", 3));
    MISUSE(json_writer_text(w, "a", 1));
    MISUSE(json_writer_open_string(w), json_writer_null(w));
    MISUSE(json_writer_open_string(w));
    for (int i = 0; i <= JSON_WRITER_DEPTH; i++)
        json_writer_open_array(w);
    MISUSE((void)0);
    json_writer_null(w);
    check_written(w, "null");
    json_writer_free(w);

    // The same key twice: told when the document is read.
    w = json_writer_new(0);
    json_writer_open_object(w);
    for (int i = 0; i < 2; i++) {
        json_writer_key(w, "a", 1);
        json_writer_null(w);
    }
    json_writer_close_object(w);
    json_document *d = json_writer_document(w);
    json_value v;
    CHECK(json_document_get_key(d, JSON_ROOT, "a", 1, &v) == JSON_BAD_VALUE);
    CHECK_TEXT(d->error.message, "duplicate key");
    json_document_drop(d);
    json_writer_free(w);
}

// Elements of an array, [from, from + count), between two others.
static void check_elements(json_document *d, uint32_t from, uint32_t count, const char *want)
{
    json_writer *w = json_writer_new(0);
    json_writer_begin(w, 1000);
    json_writer_open_array(w);
    json_writer_integer(w, 0);
    json_writer_elements(w, d, JSON_ROOT, from, count);
    json_writer_integer(w, 9);
    json_writer_close_array(w);
    check_written(w, want);
    json_writer_free(w);
}

static void check_elements_fail(json_document *d, uint32_t id, uint32_t from, uint32_t count, bool in_array)
{
    json_writer *w = json_writer_new(0);
    if (in_array)
        json_writer_open_array(w);
    json_writer_elements(w, d, id, from, count);
    CHECK(json_writer_error(w, false) != NULL);
    json_writer_begin(w, 0);
    CHECK(json_writer_error(w, false) == NULL);
    json_writer_free(w);
}

static void test_elements(void)
{
    json_error error;
    json_document *d = json_document_parse_copy(TEXT("[ 1,{\"a\":[2]} , \"x\",3 ]"), NULL, &error);
    check_elements(d, 0, 4, "[0,1,{\"a\":[2]},\"x\",3,9]");
    check_elements(d, 0, 1, "[0,1,9]");
    check_elements(d, 1, 2, "[0,{\"a\":[2]},\"x\",9]");
    check_elements(d, 2, 0, "[0,9]");
    check_elements(d, 4, 0, "[0,9]");
    check_elements_fail(d, JSON_ROOT, 1, 4, true);
    check_elements_fail(d, JSON_ROOT, 5, 0, true);
    check_elements_fail(d, JSON_ROOT, 0, UINT32_MAX, true);
    check_elements_fail(d, JSON_ROOT, 0, 1, false);
    check_elements_fail(d, json_document_at(d, JSON_ROOT, 0, NULL), 0, 0, true);
    json_step path[] = {{NULL, 0, 1}, {"b", 1, 0}};
    CHECK(json_document_set(d, path, 2, json_document_put_string(d, TEXT("y"))) == 0);
    check_elements(d, 0, 3, "[0,1,{\"a\":[2],\"b\":\"y\"},\"x\",9]");
    json_document_free(d);
    check_elements_fail(d, JSON_ROOT, 0, 0, true);
    json_document_drop(d);
}

static json_form *form_of(const char *text)
{
    json_error error;
    json_form *f = json_form_new(text, strlen(text), &error);
    CHECK(f != NULL);
    return f;
}

static void test_forms(void)
{
    json_error error = {0};
    CHECK(json_form_new(TEXT("{\"a\":$,}"), &error) == NULL && error.message != NULL);
    CHECK(json_form_new(TEXT(""), &error) == NULL);
    json_form *f = form_of("{\"a\":$,\"b\":[$,$],\"c\":1}"), *none = form_of("[1]"), *bare = form_of("$");
    json_writer *w = json_writer_new(0);
    json_writer_open_array(w);
    json_writer_integer(w, 1);
    json_writer_form(w, f);
    json_writer_string(w, TEXT("x\""));
    json_writer_open_object(w);
    json_writer_key(w, TEXT("k"));
    json_writer_integers(w, (double[]){-5}, 1);
    json_writer_close_object(w);
    json_writer_open_string(w);
    json_writer_text(w, TEXT("y"));
    json_writer_close_string(w);
    json_writer_form(w, none);
    json_writer_form(w, bare);
    json_writer_integers(w, (double[]){2}, 1);
    json_writer_close_array(w);
    check_written(w, "[1,{\"a\":\"x\\\"\",\"b\":[{\"k\":-5},\"y\"],\"c\":1},[1],2]");
    json_writer_form(w, f); // as the whole text
    json_writer_integers(w, (double[]){1, 2, 3}, 3);
    check_written(w, "{\"a\":1,\"b\":[2,3],\"c\":1}");

    json_writer_form(w, f); // a hole is left
    json_writer_integer(w, 1);
    CHECK(json_writer_error(w, true) != NULL);
    json_writer_reset(w);
    json_writer_form(w, f);
    json_writer_key(w, TEXT("k"));
    CHECK(json_writer_error(w, false) != NULL);
    json_writer_reset(w);
    json_writer_open_object(w);
    json_writer_key(w, TEXT("k"));
    json_writer_form(w, f);
    json_writer_close_object(w);
    CHECK(json_writer_error(w, false) != NULL);
    json_writer_reset(w);
    json_writer_form(w, f);
    json_writer_form(w, f);
    CHECK(json_writer_error(w, false) != NULL);
    json_writer_reset(w);
    json_writer_integers(w, (double[]){9007199254740992.0}, 1);
    CHECK(json_writer_error(w, false) != NULL);
    json_writer_free(w);
    json_form_free(f);
    json_form_free(none);
    json_form_free(bare);
    json_form_free(NULL);
}

// What is written from a source, with large values shared, says the same as what is copied.
static void write_mixture(json_writer *w, json_document *d)
{
    uint32_t list = json_document_find(d, JSON_ROOT, &(json_step){"list", 4, 0}, 1);
    uint32_t big = json_document_find(d, JSON_ROOT, &(json_step){"big", 3, 0}, 1);
    json_writer_open_object(w);
    json_writer_key(w, TEXT("first"));
    json_writer_node(w, d, big);
    json_writer_key(w, TEXT("in"));
    json_writer_open_array(w);
    json_writer_integer(w, 0);
    json_writer_elements(w, d, list, 0, 2);
    json_writer_open_object(w);
    json_writer_key(w, TEXT("deep"));
    json_writer_open_array(w);
    json_writer_elements(w, d, list, 1, 4);
    json_writer_node(w, d, big);
    json_writer_null(w);
    json_writer_close_array(w);
    json_writer_key(w, TEXT("k"));
    json_writer_string(w, TEXT("0"));
    json_writer_close_object(w);
    json_writer_node(w, d, big);
    json_writer_node(w, d, list);
    json_writer_close_array(w);
}

static void check_same(json_document *a, json_document *b)
{
    size_t size, other_size;
    const char *text = json_document_text(b, &other_size);
    char *copy = malloc(other_size + 1);
    memcpy(copy, text, other_size);
    text = json_document_text(a, &size);
    CHECK(size == other_size && memcmp(text, copy, size) == 0);
    CHECK(json_document_size(a) == size);
    free(copy);
    json_error error;
    output *o = json_document_output(a);
    bytes *joined = bytes_new(size);
    for (size_t i = 0; i < o->count; i++)
        bytes_append(joined, o->segments[i].data, o->segments[i].size);
    json_document *again = json_document_parse(joined, NULL, &error);
    CHECK(again != NULL);
    json_document_drop(again);
}

static void test_references(void)
{
    char *text = malloc(100000), *at = text + sprintf(text, "{\"big\":\"");
    for (int i = 0; i < 5000; i++)
        *at++ = 'b';
    at += sprintf(at, "\" ,\"list\": [");
    for (int i = 0; i < 6; i++) {
        at += sprintf(at, "%s{\"a\":\"", i == 0 ? "" : i == 3 ? " , " : ",");
        for (int k = 0; k < 1500; k++)
            *at++ = 'a';
        at += sprintf(at, "\"}");
    }
    at += sprintf(at, "]}");
    json_error error;
    json_document *d = json_document_parse_copy(text, (size_t)(at - text), NULL, &error);
    CHECK(d != NULL);
    json_writer *shared = json_writer_new(0), *plain = json_writer_new(0);
    for (int edited = 0; edited < 2; edited++) {
        json_writer_begin_from(shared, d);
        write_mixture(shared, d);
        json_writer_close_object(shared);
        json_document *a = json_writer_document(shared);
        write_mixture(plain, d);
        json_writer_close_object(plain);
        json_document *b = json_writer_document(plain);
        CHECK(a != NULL && b != NULL && a != d);
        check_same(a, b);
        // It is read and edited as any other, and its source may go before it.
        json_step path[] = {{"in", 2, 0}, {NULL, 0, 3}, {"deep", 4, 0}, {NULL, 0, 2}, {"a", 1, 0}};
        json_value v;
        CHECK(json_document_get(a, JSON_ROOT, path, 5, &v) == JSON_STRING && v.size == 1500);
        json_document *fork = json_document_fork(a);
        CHECK(json_document_set(a, path, 5, json_document_put_number(a, 1)) == 0);
        CHECK(json_document_set(b, path, 5, json_document_put_number(b, 1)) == 0);
        CHECK(json_document_remove(a, path, 4) == json_document_remove(b, path, 4));
        check_same(a, b);
        CHECK(json_document_size(fork) > json_document_size(a));
        json_document_drop(a);
        json_document_drop(b);
        json_document_drop(fork);
        json_step first[] = {{"list", 4, 0}, {NULL, 0, 1}, {"n", 1, 0}};
        CHECK(json_document_set(d, first, 3, json_document_put_string(d, "new", 3)) == 0);
    }
    // The whole text is one shared value.
    uint32_t big = json_document_find(d, JSON_ROOT, &(json_step){"big", 3, 0}, 1);
    json_writer_begin_from(shared, d);
    json_writer_node(shared, d, big);
    CHECK(json_writer_take(shared) == NULL);
    json_writer_begin_from(shared, d);
    json_writer_node(shared, d, big);
    size_t size;
    CHECK(json_writer_written(shared, &size) == NULL);
    json_document *whole = json_writer_document(shared);
    CHECK(whole && json_document_size(whole) == 5002);
    json_document_drop(whole);
    // A key twice, and a source that was freed meanwhile.
    json_writer_begin_from(shared, d);
    json_writer_open_object(shared);
    for (int i = 0; i < 2; i++) {
        json_writer_key(shared, TEXT("k"));
        json_writer_node(shared, d, big);
    }
    json_writer_close_object(shared);
    CHECK(json_writer_document(shared) == NULL && json_writer_error(shared, true) != NULL);
    json_writer_begin_from(shared, d);
    json_writer_node(shared, d, big);
    json_document_free(d);
    CHECK(json_writer_document(shared) == NULL);
    json_writer_free(shared);
    json_writer_free(plain);
    json_document_drop(d);
    free(text);
}

int main(void)
{
    test_references();
    test_forms();
    test_elements();
    test_values();
    test_splices();
    test_misuse();
    return test_end();
}
