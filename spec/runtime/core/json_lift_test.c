// json_lift: what is lifted, what is not there, what is no JSON.
#include "core/json_lift.h"

#include <string.h>

#include "test.h"

static json_step step(const char *key)
{
    return (json_step){.key = key, .size = (uint32_t)strlen(key)};
}

static bool run(json_lift *l, const char *text, double *out, json_error *error)
{
    bytes *b = bytes_copy(text, strlen(text));
    bool ok = json_lift_run(l, b, NULL, out, error);
    bytes_drop(b);
    return ok;
}

static void test_lifts(void)
{
    json_lift *l = json_lift_new();
    json_error error;
    double out[5];
    CHECK(json_lift_add(l, (json_step[]){step("usage"), step("a")}, 2) == 0);
    CHECK(json_lift_add(l, (json_step[]){step("usage"), step("b")}, 2) == 1);
    CHECK(json_lift_add(l, (json_step[]){step("usage"), step("c"), step("d")}, 3) == 2);
    CHECK(json_lift_add(l, (json_step[]){step("usage"), step("c"), step("e")}, 3) == 3);
    CHECK(json_lift_add(l, (json_step[]){step("usage"), step("c")}, 2) == 4);
    CHECK(run(l, "{\"x\":[1,{}],\"usage\":{\"b\":9007199254740992,\"a\":7,\"c\":{\"e\":0,\"d\":12}}}", out, &error));
    CHECK(out[0] == 7 && out[1] == 9007199254740992.0 && out[2] == 12 && out[3] == 0 && out[4] == -1);
    CHECK(run(l, "{\"usage\":{\"a\":null,\"b\":-1,\"c\":[]}}", out, &error));
    CHECK(out[0] == -1 && out[1] == -1 && out[2] == -1 && out[3] == -1 && out[4] == -1);
    CHECK(run(l, "{\"usage\":{\"a\":1.5,\"b\":\"2\",\"c\":{\"d\":9007199254740993}}}", out, &error));
    CHECK(out[0] == -1 && out[1] == -1 && out[2] == -1 && out[3] == -1);
    CHECK(run(l, "[]", out, &error));
    CHECK(out[0] == -1 && out[4] == -1);
    CHECK(run(l, "{\"usage\":5}", out, &error));
    CHECK(out[0] == -1 && out[2] == -1);
    CHECK(!run(l, "{\"usage\":{\"a\":1}", out, &error));
    CHECK(!run(l, "", out, &error));
    json_lift_free(l);
    json_lift_free(NULL);
}

static void test_limits(void)
{
    json_lift *l = json_lift_new();
    json_step steps[JSON_LIFT_STEPS + 1];
    for (int i = 0; i <= JSON_LIFT_STEPS; i++)
        steps[i] = step("k");
    CHECK(json_lift_add(l, steps, JSON_LIFT_STEPS + 1) == -1);
    CHECK(json_lift_add(l, steps, 0) == -1);
    CHECK(json_lift_add(l, (json_step[]){{.key = NULL, .index = 1}}, 1) == -1);
    for (int i = 0; i < JSON_LIFT_PATHS; i++)
        CHECK(json_lift_add(l, steps, JSON_LIFT_STEPS) == i);
    CHECK(json_lift_add(l, steps, 1) == -1);
    json_lift_free(l);
}

static void test_document(void)
{
    json_lift *l = json_lift_new();
    double out[3];
    json_error error;
    json_lift_add(l, (json_step[]){step("usage"), step("a")}, 2);
    json_lift_add(l, (json_step[]){step("usage"), step("c"), step("d")}, 3);
    json_lift_add(l, (json_step[]){step("usage"), step("c"), step("e")}, 3);
    const char *text = "{\"usage\":{\"a\":1.5,\"c\":{\"d\":-2e2,\"e\":9007199254740993}}}";
    json_document *d = json_document_parse_copy(text, strlen(text), NULL, &error);
    CHECK(json_lift_document(l, d, out) == 0 && out[0] == 1.5 && out[1] == -200 && out[2] == -1);
    json_step path[] = {step("usage"), step("c"), step("e")};
    CHECK(json_document_set(d, path, 3, json_document_put_number(d, 7)) == 0);
    CHECK(json_lift_document(l, d, out) == 0 && out[0] == 1.5 && out[1] == -200 && out[2] == 7);
    CHECK(json_document_set(d, path, 1, json_document_put_string(d, "x", 1)) == 0);
    CHECK(json_lift_document(l, d, out) == 0 && out[0] == -1 && out[1] == -1 && out[2] == -1);
    json_document_free(d);
    CHECK(json_lift_document(l, d, out) == JSON_FREED && out[0] == -1);
    json_document_drop(d);
    json_lift_free(l);
}

int main(void)
{
    test_document();
    test_lifts();
    test_limits();
    return test_end();
}
