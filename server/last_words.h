/*
 * Last words: what the process says when the kernel ends it for a file that is mapped into its memory
 * (the state's data.mdb) and cannot be read any more: it was cut short, or its disk fails. LMDB has no
 * way to answer that with an error.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVER_LAST_WORDS_H
#define SERVER_LAST_WORDS_H

/* From now on a SIGBUS writes one line of the log to standard error, and ends the process as before. */
void last_words_prepare(void);

#endif
