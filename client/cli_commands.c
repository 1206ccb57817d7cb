/*
 * Every command of `muster` and every option of a single command: what it is called, what it takes
 * and what it does. Help texts and completions are made from these tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli.h"
#include "cmd.h"

const struct cli_option_row cli_options[CLI_OPTION_COUNT] = {
    [CLI_CHECK] = {"check", NULL, "Only say what would happen; change nothing"},
    [CLI_FORCE] = {"force", NULL, "The node is dead and cannot be asked"},
    [CLI_TOKEN_FILE] = {"token-file", "FILE", "Read the token from FILE, or from stdin if it is -"},
    [CLI_PASSWORD_FILE] = {"password-file", "FILE",
                           "Read the password from FILE, or from stdin if it is -"},
    [CLI_FOR] = {"for", "NODE", "Only the node of this name may use it"},
    [CLI_TTL] = {"ttl", "SPAN", "How long it is good: 90s, 15m, 2h, 7d (default 1h)"},
    [CLI_REGION] = {"region", "REGION", "AMERICAS or EUROPE"},
    [CLI_CLIENT_ID] = {"client-id", "ID", "The client's id, as the cloud shows it"},
    [CLI_REPLACE] = {"replace", NULL, "Replace what has this name already"},
    [CLI_WAIT] = {"wait", NULL, "Show progress until it is done (default)"},
    [CLI_NO_WAIT] = {"no-wait", NULL, "Return as soon as it has begun"},
    [CLI_MODE] = {"mode", "MODE", "Only \"machine\" is possible in a cluster"},
    [CLI_MACHINE] = {"machine", "NODE", "Only the node you are connected to is possible"},
    [CLI_SINCE] = {"since", "TIME", "From TIME on: 2026-01-31T08:00:00Z, or 2h for a span ago"},
    [CLI_UNTIL] = {"until", "TIME", "Up to TIME"},
    [CLI_BEFORE] = {"before", "SEQUENCE", "Page on: rows before this one"},
    [CLI_AFTER] = {"after", "SEQUENCE", "Page on: rows after this one"},
    [CLI_LIMIT] = {"limit", "COUNT", "At most so many rows (default 100)"},
    [CLI_REASON] = {"reason", "TEXT", "Why, for those who look later"},
    [CLI_DAYS] = {"days", "COUNT", "How long the certificate is good (default 365)"},
    [CLI_DIRECTORY] = {"directory", "FOLDER", "Where to write the files (default: here)"},
    [CLI_DEEP] = {"deep", NULL, "Read everything again instead of trusting the rolling digest"},
    [CLI_WATCH] = {"watch", NULL, "Show it again every two seconds"},
    [CLI_YES] = {"yes", NULL, "Do not ask; needed where there is no terminal"},
    [CLI_RECOVERY_KEY_FILE] = {"recovery-key-file", "FILE",
                               "Read the recovery key from FILE, or from stdin if it is -"},
    [CLI_CONFIG] = {"config", "FILE", "Of musterd, to look at if it does not run"},
    [CLI_ACTOR] = {"actor", "TEXT", "Only of those whose name has TEXT in it: anna, \"uid 0\""},
    [CLI_METHOD] = {"method", "NAME", "Only lines of this command, as WHAT shows it: member_admit"},
    [CLI_KEEP_RECORDS] = {"keep-records", NULL,
                          "Submit this node's own undelivered records to the cluster"},
    [CLI_FORGET] = {"forget", NULL,
                    "The device is gone from the portal: do not ask the cloud to delete it"},
    [CLI_HAND_OVER] = {"hand-over", "NODE", "Make NODE the registered machine first"},
    [CLI_DRY_RUN] = {"dry-run", NULL, "Only show what would happen (default without --yes)"},
};

#define WAITING (CLI_TAKES(CLI_WAIT) | CLI_TAKES(CLI_NO_WAIT))
#define YES CLI_TAKES(CLI_YES)
#define WATCH CLI_TAKES(CLI_WATCH)
#define TOKEN CLI_TAKES(CLI_TOKEN_FILE)
#define PAGE (CLI_TAKES(CLI_AFTER) | CLI_TAKES(CLI_LIMIT))
#define MACHINE (CLI_TAKES(CLI_MODE) | CLI_TAKES(CLI_MACHINE))
#define REGISTER (TOKEN | WAITING | MACHINE)
#define DEREGISTER (YES | WAITING | MACHINE | CLI_TAKES(CLI_FORGET))
#define REGISTRATION_TOKEN "a registration token"

static const char status_summary[] =
    "Leader, quorum, members, registration, export, what is wrong and what helps";
static const char enable_summary[] = "Enable the cloud service and choose its region";
static const char disable_summary[] = "Disable the cloud service";
static const char register_summary[] =
    "Register the cluster, in machine mode, as the node you are connected to";
static const char deregister_summary[] =
    "Deregister the cluster; or forget a registration whose device is gone from the portal";
static const char registration_status_summary[] = "The state of the registration";

const struct cli_command cli_commands[] = {
    {"status", NULL, 0, 0, WATCH, NULL, status_summary, cmd_cluster_status},

    {"cluster status", NULL, 0, 0, WATCH, NULL, status_summary, cmd_cluster_status},
    {"cluster members", NULL, 0, 0, 0, NULL, "The members and their addresses",
     cmd_cluster_members},
    {"cluster init", "NAME", 1, 1, 0, NULL, "Make this standalone node a cluster of one",
     cmd_cluster_init},
    {"cluster join", NULL, 0, 0, TOKEN | YES | CLI_TAKES(CLI_CHECK) | CLI_TAKES(CLI_KEEP_RECORDS),
     "a join token", "Make this node a member of the cluster that the join token names",
     cmd_cluster_join},
    {"cluster leave", NULL, 0, 0, YES | CLI_TAKES(CLI_HAND_OVER), NULL,
     "Take this node out of its cluster", cmd_cluster_leave},
    {"cluster reset", NULL, 0, 0, YES | CLI_TAKES(CLI_CHECK), NULL,
     "Make this node, which its cluster removed or left behind, standalone", cmd_cluster_reset},
    {"cluster rebuild", NULL, 0, 0, YES | CLI_TAKES(CLI_CHECK), NULL,
     "Fetch this node's damaged data anew from the other members", cmd_cluster_rebuild},
    {"cluster remove", "NODE", 1, 1, YES | CLI_TAKES(CLI_FORCE), NULL,
     "Take another node out of the cluster", cmd_cluster_remove},
    {"cluster transfer", "[NODE]", 0, 1, 0, NULL, "Hand leadership to NODE, or to the best voter",
     cmd_cluster_transfer},
    {"cluster settings", NULL, 0, 0, 0, NULL, "What is set for all members: how many vote",
     cmd_cluster_settings},
    {"cluster set", "SETTING VALUE", 2, 2, 0, NULL,
     "Change what all members do: voters 1, 3, 5 or 7", cmd_cluster_set},
    {"cluster certificates", NULL, 0, 0, 0, NULL,
     "The CA's, the nodes' and the operators' certificates: until when", cmd_cluster_certificates},
    {"cluster recover", NULL, 0, 0, YES | CLI_TAKES(CLI_DRY_RUN), NULL,
     "Most voters are lost for good: show, or with --yes do, what makes this node the only member",
     cmd_cluster_recover},
    {"cluster recovery-key", "FILE", 1, 1, 0, NULL,
     "Write the key that opens this cluster's snapshots to FILE, to be kept elsewhere",
     cmd_recovery_key},
    {"cluster key", NULL, 0, 0, WATCH, NULL,
     "Which cluster key seals the secrets, and how far a rotation of it is", cmd_cluster_key},
    {"cluster rotate-key", NULL, 0, 0, YES | WAITING | CLI_TAKES(CLI_CHECK), NULL,
     "Replace the cluster key and seal every secret anew", cmd_cluster_rotate_key},
    {"cluster token create", NULL, 0, 0, CLI_TAKES(CLI_FOR) | CLI_TAKES(CLI_TTL), NULL,
     "Make a token with which one node may join once", cmd_token_create},
    {"cluster token list", NULL, 0, 0, 0, NULL, "The join tokens, without their secrets",
     cmd_token_list},
    {"cluster token revoke", "TOKEN-ID", 1, 1, YES, "a join token",
     "Make a join token worthless; its id is in `cluster token list`", cmd_token_revoke},

    {"registration status", NULL, 0, 0, WATCH, NULL, registration_status_summary,
     cmd_registration_status},
    {"registration watch", NULL, 0, 0, 0, NULL,
     "Show each change of the registration until it has ended, well (exit 0) or not (3)",
     cmd_registration_watch},
    {"registration enable", "REGION", 1, 1, MACHINE, NULL, enable_summary, cmd_registration_enable},
    {"registration disable", NULL, 0, 0, YES | MACHINE, NULL, disable_summary,
     cmd_registration_disable},
    {"registration register", NULL, 0, 0, REGISTER, REGISTRATION_TOKEN, register_summary,
     cmd_registration_register},
    {"registration deregister", NULL, 0, 0, DEREGISTER, NULL, deregister_summary,
     cmd_registration_deregister},
    {"registration hand-over", "NODE", 1, 1, YES, NULL,
     "Make NODE the registered machine, so that the present one may leave",
     cmd_registration_hand_over},

    {"credentials list", NULL, 0, 0, 0, NULL, "The API clients, and what each may do",
     cmd_credentials_list},
    {"credentials add", "NAME", 1, 1,
     CLI_TAKES(CLI_CLIENT_ID) | CLI_TAKES(CLI_PASSWORD_FILE) | CLI_TAKES(CLI_REGION) |
         CLI_TAKES(CLI_REPLACE),
     "a client password", "Store an API client for all members, and try it", cmd_credentials_add},
    {"credentials verify", "[NAME]", 0, 1, 0, NULL,
     "Try an API client, or the selected one, and list what it may do", cmd_credentials_verify},
    {"credentials select", "NAME", 1, 1, 0, NULL, "Use this API client from now on",
     cmd_credentials_select},
    {"credentials remove", "NAME", 1, 1, YES, NULL, "Forget an API client", cmd_credentials_remove},

    {"records search", "[KEY VALUE]", 0, 2,
     CLI_TAKES(CLI_SINCE) | CLI_TAKES(CLI_UNTIL) | CLI_TAKES(CLI_BEFORE) | CLI_TAKES(CLI_LIMIT),
     NULL,
     "Records, newest first; KEY is ip, domain, url, sha256, sender, recipient, mid or message_id",
     cmd_records_search},

    {"export status", NULL, 0, 0, WATCH, NULL, "The balance of the export", cmd_export_status},
    {"export pause", NULL, 0, 0, CLI_TAKES(CLI_REASON), NULL, "Stop exporting; records are kept",
     cmd_export_pause},
    {"export resume", NULL, 0, 0, 0, NULL, "Export again", cmd_export_resume},
    {"export dead-letters list", NULL, 0, 0, PAGE, NULL,
     "Records that the cloud refused for good, and why", cmd_dead_letters_list},
    {"export dead-letters retry", "SEQUENCE|all", 1, 1, 0, NULL, "Export them once more",
     cmd_dead_letters_retry},
    {"export dead-letters discard", "SEQUENCE|all", 1, 1, YES, NULL, "Give them up",
     cmd_dead_letters_discard},

    {"snapshot save", "FILE", 1, 1, 0, NULL, "Save the cluster's whole state, sealed, to FILE",
     cmd_snapshot_save},
    {"snapshot status", "FILE", 1, 1, 0, NULL, "What a snapshot is of, and whether it is whole",
     cmd_snapshot_status},
    {"snapshot restore", "FILE", 1, 1,
     YES | CLI_TAKES(CLI_DRY_RUN) | CLI_TAKES(CLI_RECOVERY_KEY_FILE), "a recovery key",
     "Show, or with --yes do, what makes this fresh node go on with the cluster of a snapshot",
     cmd_snapshot_restore},

    {"operator add", "NAME ROLE", 2, 2, CLI_TAKES(CLI_DAYS) | CLI_TAKES(CLI_DIRECTORY), NULL,
     "Make an operator (viewer, operator or admin) and write NAME.crt and NAME.key",
     cmd_operator_add},
    {"operator list", NULL, 0, 0, 0, NULL, "The operators", cmd_operator_list},
    {"operator remove", "NAME", 1, 1, YES, NULL, "Refuse an operator from now on",
     cmd_operator_remove},

    {"audit list", NULL, 0, 0,
     PAGE | CLI_TAKES(CLI_SINCE) | CLI_TAKES(CLI_UNTIL) | CLI_TAKES(CLI_ACTOR) |
         CLI_TAKES(CLI_METHOD),
     NULL, "Who changed what, when, and with what outcome", cmd_audit_list},
    {"audit verify", NULL, 0, 0, 0, NULL, "Check the audit's chain of hashes", cmd_audit_verify},

    {"node status", NULL, 0, 0, WATCH, NULL,
     "Whether this node takes part; if not, why, and when it tries again", cmd_node_status},
    {"node retry", NULL, 0, 0, 0, NULL, "Let a suspended node look at its disk now",
     cmd_node_retry},

    {"node saved list", NULL, 0, 0, 0, NULL,
     "What this node was before it joined, kept aside with its undelivered records",
     cmd_saved_list},
    {"node saved submit", "[LINEAGE]", 0, 1, 0, NULL,
     "Submit the undelivered records of a saved life, or of all, to the cluster", cmd_saved_submit},
    {"node saved discard", "LINEAGE", 1, 1, YES, NULL, "Remove a saved life with what is in it",
     cmd_saved_discard},

    {"doctor", NULL, 0, 0, CLI_TAKES(CLI_REGION) | CLI_TAKES(CLI_CONFIG), NULL,
     "Look at this node, its way to the cloud and its cluster: what is wrong and what helps",
     cmd_doctor},

    {"version", NULL, 0, 0, 0, NULL, "What this tool and the node are", cmd_version},
    {"describe", "[METHOD]", 0, 1, 0, NULL, "The methods of the admin RPC", cmd_describe},
    {"digest", NULL, 0, 0, CLI_TAKES(CLI_DEEP), NULL,
     "The digest of the node's state, to compare with another's", cmd_digest},
    {"completion", "bash|zsh|fish", 1, 1, 0, NULL, "Print the completions of a shell",
     cmd_completion},

    {"cloudserviceconfig status", NULL, 0, 0, WATCH, NULL, registration_status_summary,
     cmd_registration_status},
    {"cloudserviceconfig enable", "REGION", 1, 1, MACHINE, NULL, enable_summary,
     cmd_registration_enable},
    {"cloudserviceconfig disable", NULL, 0, 0, YES | MACHINE, NULL, disable_summary,
     cmd_registration_disable},
    {"cloudserviceconfig settrs", "REGION", 1, 1, MACHINE, NULL,
     "Choose the Threat Response server", cmd_registration_enable},
    {"cloudserviceconfig register", NULL, 0, 0, REGISTER, REGISTRATION_TOKEN, register_summary,
     cmd_registration_register},
    {"cloudserviceconfig deregister", NULL, 0, 0, DEREGISTER, NULL, deregister_summary,
     cmd_registration_deregister},
};
const size_t cli_command_count = sizeof(cli_commands) / sizeof(cli_commands[0]);
