/*
 * rpc_doc: prints docs/rpc.md, the page of the admin RPC, from the tables that both sides are
 * compiled from. A test compares the page with what this prints.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "client/protocol.h"

#define CODECS_MAX 128

/* Every message, in the order in which it is met. */
struct codecs {
    const struct codec *items[CODECS_MAX];
    size_t count;
};

static void add_codec(struct codecs *codecs, const struct codec *codec)
{
    for (size_t i = 0; i < codecs->count; i++) {
        if (codecs->items[i] == codec) {
            return;
        }
    }
    if (codec != NULL && codecs->count < CODECS_MAX) {
        codecs->items[codecs->count++] = codec;
    }
}

/* The list grows while it is walked, until every message within a message was met. */
static void collect(struct codecs *codecs)
{
    add_codec(codecs, &rpc_options_codec);
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        add_codec(codecs, rpc_methods[i].params);
        add_codec(codecs, rpc_methods[i].result);
    }
    for (size_t i = 0; i < codecs->count; i++) {
        for (size_t k = 0; k < codecs->items[i]->field_count; k++) {
            add_codec(codecs, codecs->items[i]->fields[k].of);
        }
    }
}

static void print_limit(const struct codec_field *field)
{
    unsigned long long limit = field->limit;
    switch (field->kind) {
    case CODEC_U64:
        if (field->limit == UINT64_MAX) {
            (void)printf("number | 64 bits");
        } else {
            (void)printf("number | at most %llu", limit);
        }
        break;
    case CODEC_BOOL: (void)printf("true or false | "); break;
    case CODEC_TEXT: (void)printf("text | at most %llu bytes", limit); break;
    case CODEC_BYTES: (void)printf("bytes | at most %llu", limit); break;
    case CODEC_MESSAGE: (void)printf("[%s](#%s) | ", field->of->name, field->of->name); break;
    case CODEC_LIST:
        (void)printf("list of [%s](#%s) | at most %llu", field->of->name, field->of->name, limit);
        break;
    case CODEC_TEXTS:
        (void)printf("list of texts | at most %llu of %d bytes", limit, CODEC_TEXTS_SIZE_MAX);
        break;
    }
}

static void print_message(const struct codec *codec)
{
    (void)printf(
        "\n### %s\n\n| field | type | limit | may be absent |\n| --- | --- | --- | --- |\n",
        codec->name);
    for (size_t i = 0; i < codec->field_count; i++) {
        const struct codec_field *field = &codec->fields[i];
        (void)printf("| `%s` | ", field->name);
        print_limit(field);
        (void)printf(" | %s |\n", field->optional ? "yes" : "");
    }
}

static void print_method(const struct rpc_method_row *row)
{
    const char *secret = row->secret_params || row->secret_result ? "yes" : "";
    (void)printf("| `%s` | %s | %s | [%s](#%s) | ", row->name, rpc_role_name(row->role),
                 rpc_routing_name(row->routing), row->params->name, row->params->name);
    if (row->result != NULL) {
        (void)printf("[%s](#%s)", row->result->name, row->result->name);
    } else {
        (void)printf("the called method's");
    }
    (void)printf(" | %s | %s |\n", secret, row->summary);
}

static void print_error(unsigned code, const char *what)
{
    int exit_code = rpc_exit_code((enum rpc_error)code);
    (void)printf("| %u%s | %s | %d |\n", code, code == RPC_REFUSED ? " and above" : "", what,
                 exit_code);
}

static void print_errors(void)
{
    (void)printf(
        "\n## Errors\n\n| code | meaning | exit code of `muster` |\n| --- | --- | --- |\n");
    print_error(RPC_INVALID, "The request is wrong; retrying it unchanged cannot help.");
    print_error(RPC_UNKNOWN_METHOD, "There is no such method.");
    print_error(RPC_NOT_FOUND, "What is named does not exist.");
    print_error(RPC_UNAUTHORIZED, "The caller may not do this.");
    print_error(RPC_NO_QUORUM, "Too few voters are reachable; nothing was changed.");
    print_error(RPC_UNREACHABLE,
                "The leader, or the cluster to join, cannot be reached, or another "
                "answers at its address; nothing was changed.");
    print_error(RPC_OUTCOME_UNKNOWN, "It may have taken effect: look before you repeat.");
    print_error(RPC_BUSY, "A limit was reached; the same request may succeed later.");
    print_error(RPC_TIMEOUT, "The deadline passed; nothing was changed.");
    print_error(RPC_FULL, "No space is left.");
    print_error(RPC_INTERNAL, "Something failed inside the node.");
    print_error(RPC_SUSPENDED,
                "The node takes no part for now; the message begins with the kind in "
                "brackets. Nothing was changed.");
    print_error(RPC_REFUSED,
                "The state says no; the message begins with the refusal's name in brackets and "
                "says after a newline what helps.");
}

static void print_example(void)
{
    (void)printf(
        "\n## From another language\n\n"
        "Any MessagePack library will do; `system.foreign` asks a node from Ruby and from Python "
        "(`tests/system/foreign/`) and compares what both read. In Ruby:\n\n"
        "    socket = UNIXSocket.new(\"/run/muster/rpc.sock\")\n"
        "    socket.write([0, 1, \"cluster.status\", [{\"stale\" => true}]].to_msgpack)\n"
        "    _, id, error, result = MessagePack::Unpacker.new(socket).read\n\n"
        "In Python:\n\n"
        "    stream = socket.socket(socket.AF_UNIX)\n"
        "    stream.connect(\"/run/muster/rpc.sock\")\n"
        "    stream.sendall(msgpack.packb([0, 1, \"cluster.status\", [{\"stale\": True}]]))\n"
        "    unpacker = msgpack.Unpacker(stream.makefile(\"rb\", 0), raw=False)\n"
        "    _, message_id, error, result = next(unpacker)\n");
}

int main(void)
{
    static struct codecs codecs;
    collect(&codecs);
    (void)printf(
        "# The admin RPC\n\n"
        "Made by `rpc_doc` from the tables in `client/protocol*.c`; do not edit.\n\n"
        "MessagePack-RPC over a UNIX socket (the caller is who the kernel says) or mutual TLS (the "
        "caller is who the certificate says). A request is `[0, id, method, [params]]`, the "
        "response `[1, id, error, result]`, with error nil or `[code, message]`. Params and "
        "results are maps keyed by field names. Unknown fields are ignored, absent ones are zero, "
        "false or empty. Times (`..._ms`) are milliseconds since 1970-01-01 UTC. Requests of one "
        "connection may be answered in any order. Any node takes any call.\n\n"
        "Protocol version %d. One message has at most %u bytes, %d levels and %d values; longer "
        "ones end the connection. Every params map may also hold the fields of "
        "[options](#options).\n\n"
        "Routing: *here* is answered by the node that is asked, *read* by the leader (by the node "
        "itself with `stale`), *leader* changes the state. Roles: each of viewer, operator and "
        "admin may do what the one before may. What is marked secret is never logged.\n\n"
        "## Methods\n\n"
        "| method | role | routing | params | result | secret | what |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n",
        RPC_PROTOCOL_VERSION, RPC_FRAME_SIZE_MAX, RPC_DEPTH_MAX, RPC_VALUES_MAX);
    for (size_t i = 0; i < RPC_METHOD_COUNT; i++) {
        print_method(&rpc_methods[i]);
    }
    print_errors();
    (void)printf("\n## Messages\n");
    for (size_t i = 0; i < codecs.count; i++) {
        print_message(codecs.items[i]);
    }
    print_example();
    return fflush(stdout) == 0 ? 0 : 1;
}
