/*
 * `muster credentials`: the API clients that all members share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "base/secret.h"
#include "cli_output.h"
#include "cmd.h"

/* "casebook", "pivot menu", "export" */
static const char *feature_words(struct cli *cli, struct slice feature)
{
    return slice_equal(feature, slice_of("pivot_menu")) ? "pivot menu"
                                                        : output_safe(&cli->arena, feature);
}

static void print_features(struct cli *cli, const struct rpc_credential *credential)
{
    const struct rpc_feature *features = credential->features.items;
    for (size_t i = 0; i < credential->features.count; i++) {
        (void)printf("  %s: %s", feature_words(cli, features[i].feature),
                     features[i].available ? "available" : "not available");
        if (features[i].missing.size > 0) {
            (void)printf("; missing scopes: %s", output_safe(&cli->arena, features[i].missing));
        }
        (void)printf("\n");
    }
}

static int show_credential(struct cli *cli, const struct rpc_credential *credential)
{
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT},           {"client id", "client_id", COLUMN_TEXT},
        {"region", "region", COLUMN_TEXT},       {"selected", "selected", COLUMN_YES_NO},
        {"verified", "verified", COLUMN_YES_NO}, {"verified at", "verified_at_ms", COLUMN_TIME},
        {"scopes", "scopes", COLUMN_TEXT},       {"error", "error", COLUMN_TEXT},
        {"stored at", "put_at_ms", COLUMN_TIME},
    };
    int exit_code = 0;
    if (!output_json(cli, &rpc_credential_codec, credential, &exit_code)) {
        exit_code = output_facts(cli, &rpc_credential_codec, credential, columns,
                                 sizeof(columns) / sizeof(columns[0]));
        print_features(cli, credential);
    }
    return credential->error.size > 0 ? CLI_EXIT_ERROR : exit_code;
}

static int show_credentials(struct cli *cli, const void *result, bool compact)
{
    static const struct column columns[] = {
        {"NAME", "name", COLUMN_TEXT},
        {"CLIENT ID", "client_id", COLUMN_TEXT},
        {"REGION", "region", COLUMN_TEXT},
        {"SELECTED", "selected", COLUMN_YES_NO},
        {"VERIFIED", "verified_at_ms", COLUMN_TIME},
        {"ERROR", "error", COLUMN_TEXT},
    };
    const struct rpc_credentials *list = result;
    const struct rpc_credential *items = list->credentials.items;
    (void)compact;
    int exit_code =
        output_list(cli, &rpc_credential_codec, &list->credentials, columns,
                    sizeof(columns) / sizeof(columns[0]),
                    "There are no API clients: muster credentials add NAME --client-id ID");
    for (size_t i = 0; !cli->json && i < list->credentials.count; i++) {
        (void)printf("\n%s\n", output_safe(&cli->arena, items[i].name));
        print_features(cli, &items[i]);
    }
    return exit_code;
}

int cmd_credentials_list(struct cli *cli)
{
    struct rpc_credentials credentials = {0};
    return cmd_read(cli, RPC_CREDENTIALS_LIST, &credentials, show_credentials);
}

/* Whether they are good is said at once: a wrong password is noticed by who typed it. If the cloud
 * cannot be asked they are stored all the same. */
static int show_tried(struct cli *cli, const struct rpc_credential *stored)
{
    struct rpc_name name = {.name = stored->name};
    struct rpc_credential tried = {0};
    struct connection_error error;
    if (!failed(cli_try(cli, RPC_CREDENTIALS_VERIFY, &name, &tried, &error))) {
        return show_credential(cli, &tried);
    }
    (void)fprintf(stderr, "muster: stored, but not verified yet, which is tried again: %s\n",
                  output_safe(&cli->arena, slice_of(error.message)));
    return show_credential(cli, stored);
}

int cmd_credentials_add(struct cli *cli)
{
    struct secret password = {0};
    struct rpc_credential credential = {0};
    int exit_code = 0;
    if (!cli_has(cli, CLI_CLIENT_ID)) {
        return cli_usage(cli, "--client-id is missing");
    }
    if (!cli_secret(cli, CLI_PASSWORD_FILE, "Client password", &password, &exit_code)) {
        return exit_code;
    }
    struct rpc_credential_add params = {
        .name = cli_argument(cli, 0),
        .client_id = cli_value(cli, CLI_CLIENT_ID),
        .password = secret_slice(&password),
        .region = cli_value(cli, CLI_REGION),
        .replace = cli_has(cli, CLI_REPLACE),
    };
    exit_code = cli_call(cli, RPC_CREDENTIALS_ADD, &params, &credential);
    secret_release(&password);
    return exit_code != 0 ? exit_code : show_tried(cli, &credential);
}

int cmd_credentials_verify(struct cli *cli)
{
    struct rpc_name name = {.name = cli_argument(cli, 0)};
    struct rpc_credential credential = {0};
    int exit_code = cli_call(cli, RPC_CREDENTIALS_VERIFY, &name, &credential);
    return exit_code != 0 ? exit_code : show_credential(cli, &credential);
}

int cmd_credentials_select(struct cli *cli)
{
    struct rpc_name name = {.name = cli_argument(cli, 0)};
    return cli_call(cli, RPC_CREDENTIALS_SELECT, &name, NULL);
}

int cmd_credentials_remove(struct cli *cli)
{
    struct rpc_name name = {.name = cli_argument(cli, 0)};
    int exit_code = 0;
    if (!cli_confirm(cli, &exit_code, "API client %.64s is forgotten by all members.",
                     cli->arguments[0])) {
        return exit_code;
    }
    return cli_call(cli, RPC_CREDENTIALS_REMOVE, &name, NULL);
}
