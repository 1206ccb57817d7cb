/*
 * Fuzzing the configuration file: any bytes are refused with a reason, or give options within their
 * limits, which written down again are read as the same; and an address that is taken is one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "fuzz_input.h"
#include "region.h"
#include "socket_address.h"

static const char *text_of(const struct config *config, const struct config_row *row)
{
    return (const char *)config + row->offset;
}

static uint64_t number_of(const struct config *config, const struct config_row *row)
{
    uint64_t number;
    memcpy(&number, (const char *)config + row->offset, sizeof number);
    return number;
}

static void check_row(const struct config *config, const struct config_row *row)
{
    struct socket_name name;
    const char *text = text_of(config, row);
    if (row->kind == CONFIG_NUMBER) {
        uint64_t number = number_of(config, row);
        fuzz_must(number >= row->min && number <= row->max, "a number is within its limits");
        return;
    }
    fuzz_must(strnlen(text, CONFIG_TEXT_SIZE) < CONFIG_TEXT_SIZE && slice_is_text(slice_of(text)),
              "a text is text that ends");
    if (row->kind == CONFIG_ADDRESS && text[0] != '\0') {
        fuzz_ok(socket_name_parse(text, &name));
    }
    fuzz_must(row->kind != CONFIG_PATH || text[0] == '\0' || text[0] == '/', "a path is absolute");
}

static void write_row(const struct config *config, const struct config_row *row, struct buffer *out)
{
    if (row->kind == CONFIG_NUMBER) {
        fuzz_must(
            buffer_print(out, "%s = %llu\n", row->name, (unsigned long long)number_of(config, row)),
            "there is memory");
        return;
    }
    fuzz_must(buffer_print(out, "%s = '", row->name), "there is memory");
    for (const char *at = text_of(config, row); *at != '\0'; at++) {
        fuzz_must(buffer_print(out, *at == '\'' || *at == '\\' ? "\\%c" : "%c", *at),
                  "there is memory");
    }
    fuzz_must(buffer_print(out, "'\n"), "there is memory");
}

static void check_again(const struct config *config)
{
    static struct config again;
    struct buffer written = {0};
    config_init(&again);
    for (size_t i = 0; i < config_row_count; i++) {
        check_row(config, &config_rows[i]);
        write_row(config, &config_rows[i], &written);
    }
    (void)fuzz_file(1, buffer_slice(&written));
    fuzz_ok(config_read_file(&again, fuzz_file_path(1)));
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        fuzz_must(row->kind == CONFIG_NUMBER
                      ? number_of(config, row) == number_of(&again, row)
                      : strcmp(text_of(config, row), text_of(&again, row)) == 0,
                  "what is written is read as the same");
    }
    buffer_release(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum status_code codes[] = {STATUS_INVALID, STATUS_OK};
    static struct config config;
    config_init(&config);
    (void)fuzz_file(0, (struct slice){.data = data, .size = size});
    struct status status = config_read_file(&config, fuzz_file_path(0));
    if (failed(status)) {
        fuzz_fails_as(status, codes);
        return 0;
    }
    check_again(&config);
    status = config_finish(&config);
    if (failed(status)) {
        fuzz_fails_as(status, codes);
    } else {
        fuzz_must(config.voters % 2 == 1 && config.peer_address[0] != '\0',
                  "a finished one can run");
    }
    return 0;
}
