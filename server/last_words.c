/*
 * Last words.
 *
 * In a signal handler only write() and the like may be used, so the line is a constant, without its
 * time: whoever collects the log adds that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "last_words.h"

#include <signal.h>
#include <unistd.h>

static const char line[] =
    "{\"level\":\"error\",\"program\":\"musterd\",\"event\":\"the state's file cannot be read\","
    "\"signal\":\"SIGBUS\",\"reason\":\"data.mdb was cut short, or its disk fails; this process ends\","
    "\"remedy\":\"look at the disk; started again the node verifies its state, takes no part if that "
    "is damaged, and is rebuilt by `muster cluster rebuild`\"}\n";

static void on_signal(int number)
{
    (void)!write(STDERR_FILENO, line, sizeof line - 1);
    (void)raise(number); /* Taken by the default action, once this returns. */
}

void last_words_prepare(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL);
}
