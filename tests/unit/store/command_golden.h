/*
 * The rows of command_test.c: each type of command with every field set, and its bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
/* clang-format off */
{{.type = COMMAND_CLUSTER_INIT,
  .body.cluster_init = {
      .cluster_id = TEXT("0123456789abcdef0123456789abcdef"), .ca_certificate = TEXT("CA"),
      .sealed_ca_key = TEXT("sealed"), .key_epoch = 1, .member = MEMBER}},
    "010184010102a26d6503a56c6f63616c04a37768798501d92030313233343536373839616263646566303132"
    "3334353637383961626364656602a2434103c4067365616c65640401058a01cf112233445566778802a14103"
    "a15304a5433130305605a3302e3106a3683a3107a3683a3208a350454d09030a05"},
{{.type = COMMAND_CLUSTER_FORM,
  .body.cluster_form = {
      .name = TEXT("mail"), .voters = 5}},
    "010284010102a26d6503a56c6f63616c04a37768798201a46d61696c0205"},
{{.type = COMMAND_STANDING_SET,
  .body.standing_set = {
      .standing = STANDING_JOINING}},
    "010384010102a26d6503a56c6f63616c04a3776879810102"},
{{.type = COMMAND_JOIN_TOKEN_CREATE,
  .body.join_token_create = {
      .token_id = TEXT("0123456789abcdef"), .secret_hash = TEXT("hash"), .expires_at_ms = 9,
      .for_name = TEXT("B")}},
    "010484010102a26d6503a56c6f63616c04a37768798401b03031323334353637383961626364656602c40468"
    "617368030904a142"},
{{.type = COMMAND_JOIN_TOKEN_REVOKE,
  .body.join_token_revoke = {
      .token_id = TEXT("0123456789abcdef")}},
    "010584010102a26d6503a56c6f63616c04a37768798101b030313233343536373839616263646566"},
{{.type = COMMAND_MEMBER_ADMIT,
  .body.member_admit = {
      .token_id = TEXT("0123456789abcdef"), .member = MEMBER,
      .registration_state = REGISTRATION_ENABLED, .statement = TEXT("signed"),
      .cloud_check = CLOUD_CHECK_UNREACHABLE}},
    "010684010102a26d6503a56c6f63616c04a37768798501b030313233343536373839616263646566028a01cf"
    "112233445566778802a14103a15304a5433130305605a3302e3106a3683a3107a3683a3208a350454d09030a"
    "05030204c4067369676e65640503"},
{{.type = COMMAND_MEMBER_SET,
  .body.member_set = {
      .node_id = 7, .standing = STANDING_LEAVING, .version = TEXT("0.2"),
      .peer_address = TEXT("h:3"), .rpc_address = TEXT("h:4")}},
    "010784010102a26d6503a56c6f63616c04a3776879850107020403a3302e3204a3683a3305a3683a34"},
{{.type = COMMAND_MEMBER_REMOVE,
  .body.member_remove = {
      .node_id = 7, .force = true, .rollback = true}},
    "010884010102a26d6503a56c6f63616c04a377687983010702c303c3"},
{{.type = COMMAND_REGISTRATION_ENABLE,
  .body.registration_enable = {
      .region = TEXT("EUROPE")}},
    "010984010102a26d6503a56c6f63616c04a37768798101a64555524f5045"},
{{.type = COMMAND_REGISTRATION_DISABLE,
  .body.registration_disable = {
      .reserved = 0}},
    "010a84010102a26d6503a56c6f63616c04a377687980"},
{{.type = COMMAND_REGISTRATION_BEGIN,
  .body.registration_begin = {
      .mode = TEXT("machine"), .node_id = 7, .serial = TEXT("S"),
      .sealed_token = TEXT("token"), .sealed_key = TEXT("key"), .csr = TEXT("CSR"),
      .epoch = 1, .key_epoch = 2}},
    "010b84010102a26d6503a56c6f63616c04a37768798801a76d616368696e65020703a15304c405746f6b656e"
    "05c4036b657906a343535207010802"},
{{.type = COMMAND_REGISTRATION_NOTE,
  .body.registration_note = {
      .epoch = 1, .registration_id = TEXT("r"), .attempt = 3, .error = TEXT("e"),
      .next_try_ms = 4}},
    "010c84010102a26d6503a56c6f63616c04a377687985010102a172030304a1650504"},
{{.type = COMMAND_REGISTRATION_COMPLETE,
  .body.registration_complete = {
      .epoch = 1, .device_id = TEXT("d"), .tenant = TEXT("t"), .certificate = TEXT("PEM"),
      .not_after_ms = 9}},
    "010d84010102a26d6503a56c6f63616c04a377687985010102a16403a17404a350454d0509"},
{{.type = COMMAND_REGISTRATION_FAIL,
  .body.registration_fail = {
      .epoch = 1, .code = TEXT("token_expired"), .error = TEXT("e")}},
    "010e84010102a26d6503a56c6f63616c04a377687983010102ad746f6b656e5f6578706972656403a165"},
{{.type = COMMAND_DEREGISTRATION_BEGIN,
  .body.deregistration_begin = {
      .epoch = 1}},
    "010f84010102a26d6503a56c6f63616c04a3776879810101"},
{{.type = COMMAND_DEREGISTRATION_COMPLETE,
  .body.deregistration_complete = {
      .epoch = 1, .forgotten = true}},
    "011084010102a26d6503a56c6f63616c04a377687982010102c3"},
{{.type = COMMAND_CREDENTIAL_PUT,
  .body.credential_put = {
      .name = TEXT("prod"), .client_id = TEXT("c"), .sealed_password = TEXT("p"),
      .region = TEXT("EUROPE"), .generation = 1, .key_epoch = 2}},
    "011184010102a26d6503a56c6f63616c04a37768798601a470726f6402a16303c4017004a64555524f504505"
    "010602"},
{{.type = COMMAND_CREDENTIAL_VERIFIED,
  .body.credential_verified = {
      .name = TEXT("prod"), .generation = 1, .valid = true, .scopes = TEXT("casebook"),
      .error = TEXT("e")}},
    "011284010102a26d6503a56c6f63616c04a37768798501a470726f64020103c304a863617365626f6f6b05a1"
    "65"},
{{.type = COMMAND_CREDENTIAL_SELECT,
  .body.credential_select = {
      .name = TEXT("prod")}},
    "011384010102a26d6503a56c6f63616c04a37768798101a470726f64"},
{{.type = COMMAND_CREDENTIAL_REMOVE,
  .body.credential_remove = {
      .name = TEXT("prod")}},
    "011484010102a26d6503a56c6f63616c04a37768798101a470726f64"},
{{.type = COMMAND_RECORDS_PUT,
  .body.records_put = {
      .feed = TEXT("mail_logs"), .records = {.items = records, .count = 1}}},
    "011584010102a26d6503a56c6f63616c04a37768798201a96d61696c5f6c6f6773029187010102a15303a234"
    "320403050406c404626f6479079182010202c409612e6578616d706c65"},
{{.type = COMMAND_RECORDS_TRIM,
  .body.records_trim = {
      .sequence = 9}},
    "011684010102a26d6503a56c6f63616c04a3776879810109"},
{{.type = COMMAND_EXPORT_ADVANCE,
  .body.export_advance = {
      .from = 7, .to = 9, .rejects = {.items = rejects, .count = 1}}},
    "011784010102a26d6503a56c6f63616c04a37768798301070209039182010802a3626164"},
{{.type = COMMAND_EXPORT_PAUSE,
  .body.export_pause = {
      .paused = true, .reason = TEXT("r")}},
    "011884010102a26d6503a56c6f63616c04a37768798201c302a172"},
{{.type = COMMAND_DEAD_LETTER_RETRY,
  .body.dead_letter_retry = {
      .sequence = 8}},
    "011984010102a26d6503a56c6f63616c04a3776879810108"},
{{.type = COMMAND_DEAD_LETTER_DISCARD,
  .body.dead_letter_discard = {
      .sequence = 8}},
    "011a84010102a26d6503a56c6f63616c04a3776879810108"},
{{.type = COMMAND_CLOUD_PAUSE,
  .body.cloud_pause = {
      .until_ms = 9, .reason = TEXT("429")}},
    "011b84010102a26d6503a56c6f63616c04a377687982010902a3343239"},
{{.type = COMMAND_OPERATOR_PUT,
  .body.operator_put = {
      .name = TEXT("op"), .role = ROLE_OPERATOR, .fingerprint = TEXT("f"), .not_after_ms = 9}},
    "011c84010102a26d6503a56c6f63616c04a37768798401a26f70020203c401660409"},
{{.type = COMMAND_OPERATOR_REMOVE,
  .body.operator_remove = {
      .name = TEXT("op")}},
    "011d84010102a26d6503a56c6f63616c04a37768798101a26f70"},
{{.type = COMMAND_REGISTRATION_HAND_OVER,
  .body.registration_hand_over = {
      .epoch = 1, .node_id = 7, .serial = TEXT("S")}},
    "011e84010102a26d6503a56c6f63616c04a3776879830101020703a153"},
{{.type = COMMAND_CHECKPOINT,
  .body.checkpoint = {
      .index = 5, .digest = TEXT("0123456789abcdef")}},
    "011f84010102a26d6503a56c6f63616c04a377687982010502c41030313233343536373839616263646566"},
{{.type = COMMAND_MEMBER_QUARANTINE,
  .body.member_quarantine = {
      .node_id = 7, .step = QUARANTINE_ASKED, .life = 9, .reason = TEXT("why")}},
    "012084010102a26d6503a56c6f63616c04a37768798401070201030904a3776879"},
{{.type = COMMAND_SETTINGS_SET,
  .body.settings_set = {
      .voters = 5}},
    "012184010102a26d6503a56c6f63616c04a3776879810105"},
{{.type = COMMAND_CLUSTER_RECOVER,
  .body.cluster_recover = {
      .lineage = 2, .member = MEMBER, .source = TEXT("its log"), .from_index = 7,
      .from_taken_ms = 8}},
    "012284010102a26d6503a56c6f63616c04a3776879850102028a01cf112233445566778802a14103a15304a5"
    "433130305605a3302e3106a3683a3107a3683a3208a350454d09030a0503a7697473206c6f6704070508"},
{{.type = COMMAND_RECOVERY_KEY_TAKE,
  .body.recovery_key_take = {
      .key_epoch = 1}},
    "012384010102a26d6503a56c6f63616c04a3776879810101"},
{{.type = COMMAND_LEVEL_RAISE,
  .body.level_raise = {
      .level = 2}},
    "012484010102a26d6503a56c6f63616c04a3776879810102"},
{{.type = COMMAND_KEY_ROTATE,
  .body.key_rotate = {
      .epoch = 2, .check = TEXT("check"), .reason = TEXT("b left"),
      .holders = {.items = holders, .count = 1}}},
    "012584010102a26d6503a56c6f63616c04a377687984010202c405636865636b03a662206c656674049183"
    "010702c4077772617070656403c3"},
{{.type = COMMAND_KEY_GIVE,
  .body.key_give = {
      .epoch = 2, .check = TEXT("check"), .node_id = 7, .wrapped = TEXT("wrapped")}},
    "012684010102a26d6503a56c6f63616c04a377687984010202c405636865636b030704c407777261707065"
    "64"},
{{.type = COMMAND_KEY_HOLD,
  .body.key_hold = {
      .epoch = 2, .check = TEXT("check"), .node_id = 7}},
    "012784010102a26d6503a56c6f63616c04a377687983010202c405636865636b0307"},
{{.type = COMMAND_KEY_RESEAL,
  .body.key_reseal = {
      .epoch = 2, .check = TEXT("check"), .before = TEXT("before"),
      .values = {.items = values, .count = 1}}},
    "012884010102a26d6503a56c6f63616c04a377687984010202c405636865636b03c4066265666f72650491"
    "8101c4067365616c6564"},
{{.type = COMMAND_AUDIT_TRIM,
  .body.audit_trim = {
      .sequence = 9}},
    "012984010102a26d6503a56c6f63616c04a3776879810109"},
{{.type = COMMAND_SNAPSHOT_TAKE,
  .body.snapshot_take = {
      .node = TEXT("A")}},
    "012a84010102a26d6503a56c6f63616c04a37768798101a141"},
{{.type = COMMAND_REGISTRATION_RENEW,
  .body.registration_renew = {
      .epoch = 1, .sealed_key = TEXT("key"), .csr = TEXT("CSR"), .key_epoch = 1}},
    "012b84010102a26d6503a56c6f63616c04a377687984010102c4036b657903a34353520401"},
{{.type = COMMAND_REGISTRATION_FORGET,
  .body.registration_forget = {
      .epoch = 1}},
    "012c84010102a26d6503a56c6f63616c04a3776879810101"},
{{.type = COMMAND_CLOUD_CALLS,
  .body.cloud_calls = {
      .count = 300, .limit = 8000}},
    "012d84010102a26d6503a56c6f63616c04a37768798201cd012c02cd1f40"},
{{.type = COMMAND_MEMBER_SET,
  .body.member_set = {
      .node_id = 7, .certificate = TEXT("CR")}},
    "010784010102a26d6503a56c6f63616c04a377687982010707a24352"},
/* clang-format on */
