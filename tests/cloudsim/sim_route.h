/*
 * The routes: one row each. To add one, write a handler and its row in sim_route.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SIM_ROUTE_H
#define SIM_ROUTE_H

#include "sim_cloud.h"

enum sim_auth {
    SIM_AUTH_NONE,
    SIM_AUTH_BEARER, /* And the row's scope, and the quota. */
    SIM_AUTH_DEVICE, /* A certificate of the device that the path names. */
    SIM_AUTH_EITHER, /* Any certificate of a device, or any bearer; no scope, no quota. */
};

typedef void sim_answer(struct sim *sim, struct sim_request *request, struct sim_reply *reply);

struct sim_route_row {
    enum sim_family family;
    const char *method;
    const char *pattern; /* {} stands for one part of the path, and is captured. */
    enum sim_auth auth;
    const char *scope;      /* Needed. NULL: none. */
    const char *capability; /* What CTIA calls it, for its 403. */
    sim_answer *answer;
};

/* Find the row, authenticate, answer. */
void sim_route(struct sim *sim, struct sim_request *request, struct sim_reply *reply);

/* Match a path against a pattern; `capture` has SIM_CAPTURE_SIZE bytes. */
bool sim_route_match(const char *pattern, struct slice path, char *capture);

/* Whether the request may go on; the reply is made if not. */
bool sim_authenticate(struct sim *sim, const struct sim_route_row *row, struct sim_request *request,
                      struct sim_reply *reply);

/* Handlers, by file. */
sim_answer sim_answer_token, sim_answer_whoami, sim_answer_jwks, sim_answer_metadata;
sim_answer sim_answer_import, sim_answer_version, sim_answer_ctia_status;
sim_answer sim_answer_register, sim_answer_registration, sim_answer_device, sim_answer_heartbeat,
    sim_answer_device_delete, sim_answer_renew, sim_answer_device_list;
sim_answer sim_admin_health, sim_admin_client, sim_admin_reg_token, sim_admin_advance,
    sim_admin_quota, sim_admin_lifetime, sim_admin_revoke, sim_admin_latency, sim_admin_refresh,
    sim_admin_registration, sim_admin_fault, sim_admin_faults, sim_admin_faults_delete,
    sim_admin_fault_delete, sim_admin_device_delete, sim_admin_device_suspend,
    sim_admin_device_resume, sim_admin_device_revoke, sim_admin_tenant;
sim_answer sim_report_devices, sim_report_requests, sim_report_summary, sim_report_external_ids,
    sim_report_last, sim_report_exporters;

/* Add the clients of a JSON array, as --clients gives it. */
MUST_USE struct status sim_admin_clients(struct sim *sim, struct slice json);

#endif
