/*
 * Masking lines for display: the shape stays, names go.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <string.h>

#include "line_reader.h"
#include "mail_logs.h"

#define WORD_SIZE_MAX 20 /* Bytes: a longer word may be a secret or a name. */

/* Addresses, hosts, paths, session ids and what is in brackets; plain words and "word:" are the
 * shape. */
static bool is_telling(const char *word, size_t size)
{
    bool has_digit = false;
    bool has_letter = false;
    if (size > WORD_SIZE_MAX) {
        return true;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)word[i];
        bool ends = i + 1 == size;
        has_digit = has_digit || isdigit(byte) != 0;
        has_letter = has_letter || isalpha(byte) != 0;
        if (byte >= 0x80 || (strchr("@./\\=<>&%", byte) != NULL) || (byte == ':' && !ends)) {
            return true;
        }
    }
    return has_digit && has_letter;
}

static size_t word_size(const char *text, size_t size)
{
    const char *blank = memchr(text, ' ', size);
    return blank == NULL ? size : (size_t)(blank - text);
}

static char masked(unsigned char byte, bool hide)
{
    if (isdigit(byte)) {
        return '0';
    }
    if (byte >= 0x80 || (hide && isalpha(byte))) {
        return 'x';
    }
    return (char)byte;
}

/* `*quote` is the quote that is open, or zero. */
static void mask_word(const char *word, size_t size, char *quote, char *out)
{
    bool telling = is_telling(word, size);
    for (size_t i = 0; i < size; i++) {
        bool quoted = *quote != '\0';
        if (!quoted && (word[i] == '\'' || word[i] == '"')) {
            *quote = word[i];
        } else if (quoted && word[i] == *quote) {
            *quote = '\0';
        }
        out[i] = masked((unsigned char)word[i], telling || quoted);
    }
}

void mail_logs_mask(struct slice line, char out[MAIL_LOGS_SAMPLE_SIZE])
{
    line = text_cut(line, MAIL_LOGS_SAMPLE_SIZE - 1);
    const char *bytes = line.data;
    char quote = '\0';
    size_t i = 0;
    while (i < line.size) {
        size_t size = word_size(bytes + i, line.size - i);
        mask_word(bytes + i, size, &quote, out + i);
        i += size;
        if (i < line.size) {
            out[i] = ' ';
            i++;
        }
    }
    out[line.size] = '\0';
}
