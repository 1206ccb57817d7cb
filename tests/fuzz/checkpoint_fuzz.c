/*
 * Fuzzing what muster-feed finds of its own on the disk: the checkpoint file, and the reader's context in
 * it. A whole one is changed as the input says; with its checksum put right or not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "fuzz_value.h"
#include "log_checkpoint.h"
#include "mail_context.h"

#define MAGIC "muster-feed checkpoint 1\n"
#define CRC_AT (sizeof MAGIC - 1)
#define BODY_AT (CRC_AT + 8)
#define FILE_SIZE_MAX 4096

/* A whole checkpoint, as log_checkpoint_save() writes it. */
static size_t make(uint8_t *out)
{
    char path[512];
    struct buffer context = {0};
    const struct mail_logs_context known = {
        .serial = "420D4FEA709365BFB3E3-0AF2EE5E700E", .utc_offset_s = -3600, .year = 2026};
    struct log_file_identity files[] = {
        {.device = 1, .inode = 2, .head_size = 100, .head_crc = 0x12345678},
        {.device = 1, .inode = 3, .head_size = 0, .head_crc = 0},
    };
    fuzz_ok(mail_context_encode(&known, &context));
    const struct log_checkpoint checkpoint = {
        .files = {.items = files, .count = 2}, .offset = 4711, .context = buffer_slice(&context)};
    (void)snprintf(path, sizeof path, "%.400s/checkpoint", fuzz_folder());
    fuzz_ok(log_checkpoint_save(path, &checkpoint));
    FILE *file = fopen(path, "rb");
    size_t size = file == NULL ? 0 : fread(out, 1, FILE_SIZE_MAX, file);
    fuzz_must(size > BODY_AT && fclose(file) == 0, "the checkpoint was written");
    buffer_release(&context);
    return size;
}

static void check_context(struct slice bytes)
{
    static const enum status_code codes[] = {STATUS_CORRUPT, STATUS_OK};
    struct mail_logs_context context = {0};
    struct mail_logs_context again = {0};
    struct buffer encoded = {0};
    struct status status = mail_context_decode(bytes, &context);
    if (failed(status)) {
        fuzz_fails_as(status, codes);
        return;
    }
    fuzz_ok(mail_context_encode(&context, &encoded));
    fuzz_ok(mail_context_decode(buffer_slice(&encoded), &again));
    fuzz_must(memcmp(&context, &again, sizeof context) == 0, "a context is read as it was written");
    buffer_release(&encoded);
}

static void check_loaded(const struct log_checkpoint *loaded)
{
    fuzz_must(loaded->files.count > 0 && loaded->files.count <= LOG_CHECKPOINT_FILES_MAX,
              "a checkpoint names files, and not too many");
    fuzz_must(loaded->offset <= INT64_MAX, "an offset is one of a file");
    fuzz_must(loaded->context.size <= LOG_CHECKPOINT_CONTEXT_SIZE_MAX, "a context is limited");
    check_context(loaded->context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum status_code codes[] = {STATUS_CORRUPT, STATUS_OK};
    static uint8_t whole[FILE_SIZE_MAX];
    static size_t whole_size;
    static uint8_t bytes[FILE_SIZE_MAX];
    struct fuzz_input input = {.at = data, .left = size};
    struct arena arena = {0};
    struct log_checkpoint loaded;
    char crc[9];
    if (whole_size == 0) {
        whole_size = make(whole);
    }
    unsigned how = fuzz_u8(&input);
    size_t patched = whole_size;
    memcpy(bytes, whole, whole_size);
    if (how % 4U == 0) { /* All that is in it. */
        struct slice body = fuzz_bytes(&input, FILE_SIZE_MAX - BODY_AT);
        memcpy(bytes + BODY_AT, body.data, body.size);
        patched = BODY_AT + body.size;
    }
    fuzz_patches(&input, bytes, &patched, sizeof bytes);
    bool same = patched == whole_size && memcmp(bytes, whole, patched) == 0;
    if (how < 240 && patched > BODY_AT) {
        struct slice body = {.data = bytes + BODY_AT, .size = patched - BODY_AT};
        (void)snprintf(crc, sizeof crc, "%08x", crc32c(0, body));
        memcpy(bytes + CRC_AT, crc, sizeof crc - 1);
    }
    (void)fuzz_file(0, (struct slice){.data = bytes, .size = patched});
    struct status status = log_checkpoint_load(fuzz_file_path(0), &arena, &loaded);
    if (!failed(status)) {
        check_loaded(&loaded);
    } else {
        fuzz_must(!same, "a whole checkpoint is read");
        fuzz_fails_as(status, codes);
    }
    arena_release(&arena);
    check_context((struct slice){.data = data, .size = size});
    return 0;
}
