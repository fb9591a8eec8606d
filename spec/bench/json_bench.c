// What the JSON document costs: parse alone, and parse + set "model" + output, for the three bodies that the
// design names, and the scan of one streamed event. Prints a table; best of several rounds.
// Build: cc -O2 -D_GNU_SOURCE -Iruntime spec/bench/json_bench.c runtime/core/json*.c runtime/core/bytes.c
#include "core/json_document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static bytes *chat_body(size_t target_size)
{
    static const char head[] =
        "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":1024,\"temperature\":0.7,\"stream\":true,"
        "\"metadata\":{\"user_id\":\"u-123\"},\"system\":\"You are a helpful assistant.\",\"messages\":[";
    static const char user[] =
        "{\"role\":\"user\",\"content\":\"Please explain how the scheduler picks the next task, and "
        "why it does \\\"not\\\" starve others.\\nShort, please.\"}";
    static const char tools[] =
        "],\"tools\":[{\"name\":\"get_weather\",\"description\":\"Weather at a place\",\"input_schema\":"
        "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"unit\":{\"type\":"
        "\"string\",\"enum\":[\"c\",\"f\"]}},\"required\":[\"city\"]}}],\"tool_choice\":{\"type\":\"auto\"}}";
    bytes *b = bytes_new(target_size + 1000);
    bytes_append(b, head, sizeof(head) - 1);
    do {
        if (b->data[b->size - 1] == '}')
            bytes_append(b, ",", 1);
        bytes_append(b, user, sizeof(user) - 1);
    } while (b->size + sizeof(tools) < target_size);
    bytes_append(b, tools, sizeof(tools) - 1);
    return b;
}

static bytes *history_body(unsigned messages, size_t message_size)
{
    static const char line[] =
        "The quick brown fox jumps over the lazy dog while the gateway copies bytes and nothing else. ";
    bytes *b = bytes_new(messages * (message_size + 200));
    const char *head = "{\"model\":\"claude-sonnet-4-5\",\"messages\":[";
    bytes_append(b, head, strlen(head));
    for (unsigned i = 0; i < messages; i++) {
        const char *open = i % 2 == 0 ? "{\"role\":\"user\",\"content\":\""
                                      : "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"";
        bytes_append(b, open, strlen(open));
        for (size_t n = 0; n < message_size; n += sizeof(line) + 1) {
            bytes_append(b, line, sizeof(line) - 1);
            bytes_append(b, "\\n", 2);
        }
        const char *shut = i % 2 == 0 ? "\"}" : "\"}]}";
        bytes_append(b, shut, strlen(shut));
        bytes_append(b, ",", i + 1 < messages ? 1 : 0);
    }
    bytes_append(b, "]}", 2);
    return b;
}

static bytes *image_body(size_t size)
{
    const char *head =
        "{\"model\":\"claude-sonnet-4-5\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\","
        "\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"";
    bytes *b = bytes_new(size + 1000);
    bytes_append(b, head, strlen(head));
    for (size_t i = 0; i < size; i++)
        bytes_append(b, &"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[i * 2654435761u >> 7 & 63],
                     1);
    bytes_append(b, "\"}}]}]}", 7);
    return b;
}

static void measure(const char *name, bytes *b, unsigned repeats)
{
    double best_parse = 1e12, best_all = 1e12, best_edit = 1e12;
    uint32_t nodes = 0;
    size_t total = 0;
    for (int round = 0; round < 15; round++) {
        double start = now_us();
        for (unsigned i = 0; i < repeats; i++) {
            json_error error;
            json_document *d = json_document_parse(bytes_hold(b), NULL, &error);
            nodes = d->base->nodes.count;
            json_document_drop(d);
        }
        double parse = (now_us() - start) / repeats;
        start = now_us();
        for (unsigned i = 0; i < repeats; i++) {
            json_error error;
            json_document *d = json_document_parse(bytes_hold(b), NULL, &error);
            json_document_set_string(d, "model", 5, "claude-haiku-4-5", 16);
            output *o = json_document_output(d);
            total += o->size;
            json_document_drop(d);
        }
        double all = (now_us() - start) / repeats;
        json_error error;
        json_document *d = json_document_parse(bytes_hold(b), NULL, &error);
        start = now_us();
        for (unsigned i = 0; i < repeats; i++) {
            json_document *f = json_document_fork(d);
            json_document_set_string(f, "model", 5, "claude-haiku-4-5", 16);
            output *o = json_document_output(f);
            total += o->size;
            json_document_drop(f);
        }
        double edit = (now_us() - start) / repeats;
        json_document_drop(d);
        best_parse = parse < best_parse ? parse : best_parse;
        best_all = all < best_all ? all : best_all;
        best_edit = edit < best_edit ? edit : best_edit;
    }
    printf("%-28s %9zu %7u %11.3f %8.2f %16.3f %17.3f\n", name, b->size, nodes, best_parse,
           (double)b->size / best_parse / 1e3, best_edit, best_all);
    if (total == 0)
        puts("?");
    bytes_drop(b);
}

static void measure_event(void)
{
    static const char event[] =
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" some "
        "words that a model might say, a dozen or so\"}}";
    json_step path[] = {{"delta", 5, 0}, {"text", 4, 0}};
    json_nodes nodes = {0};
    double best = 1e12;
    size_t found = 0;
    for (int round = 0; round < 15; round++) {
        double start = now_us();
        for (int i = 0; i < 20000; i++) {
            json_scan(&nodes, event, sizeof(event) - 1, NULL, NULL);
            found += json_find_path(&nodes, event, 0, path, 2);
        }
        double each = (now_us() - start) / 20000;
        best = each < best ? each : best;
    }
    json_nodes_free(&nodes);
    printf("%-28s %9zu %7s %11.3f %8.2f\n", found ? "event, scan + path" : "?", sizeof(event) - 1, "", best,
           (double)(sizeof(event) - 1) / best / 1e3);
}

int main(void)
{
    printf("%-28s %9s %7s %11s %8s %16s %17s\n", "body", "bytes", "nodes", "parse us", "GB/s", "fork+set+out us",
           "parse+set+out us");
    measure_event();
    measure("chat 2 KB", chat_body(2048), 5000);
    measure("chat 100 KB", chat_body(100000), 200);
    measure("history 1.6 MB, 900 messages", history_body(900, 1720), 20);
    measure("image 4 MB", image_body(4 << 20), 8);
    return 0;
}
