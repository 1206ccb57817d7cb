/*
 * Completions of shells, made from the tables of commands and options.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stdbool.h>
#include <stdio.h>

/* Print the script for "bash", "zsh" or "fish"; false for another shell. */
bool cli_completion_print(FILE *out, const char *shell);

#endif
