/*
 * The record.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "sim_record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim_json.h"

#define CAPACITY_MIN 1024

void sim_records_add(struct sim_records *records, const struct sim_record *record)
{
    if (records->count == records->capacity && records->capacity < SIM_RECORDS_MAX) {
        size_t capacity = records->capacity == 0 ? CAPACITY_MIN : 2 * records->capacity;
        records->capacity = capacity < SIM_RECORDS_MAX ? capacity : SIM_RECORDS_MAX;
        records->list = sim_realloc(records->list, records->capacity * sizeof records->list[0]);
    }
    struct sim_record *slot = &records->list[records->count % records->capacity];
    *slot = *record;
    slot->seq = ++records->count;
}

void sim_records_release(struct sim_records *records)
{
    free(records->list);
    *records = (struct sim_records){0};
}

static void write_name(struct buffer *out, const char *name, const char *text)
{
    sim_print(out, ",\"%s\":", name);
    sim_json_text(out, text == NULL || *text == '\0' ? NULL : text);
}

static void write_record(const struct sim_record *record, struct buffer *out)
{
    sim_print(out, "{\"seq\":%" PRIu64 ",\"at_ms\":%" PRIu64 ",\"family\":\"%s\",\"region\":\"%s\"",
              record->seq, record->at_ms, sim_family_name(record->family),
              sim_region_name(record->region));
    write_name(out, "method", record->method);
    write_name(out, "path", record->path);
    write_name(out, "query", record->query);
    sim_print(out, ",\"status\":%d", record->status);
    write_name(out, "client", record->client);
    write_name(out, "device", record->device);
    write_name(out, "user_agent", record->user_agent);
    sim_print(out, ",\"remote_port\":%u,\"body_size\":%" PRIu64 ",\"duration_us\":%" PRIu64,
              record->remote_port, record->body_size, record->duration_us);
    write_name(out, "fault", record->fault);
    write_name(out, "credential_sha256", record->credential);
    sim_print(out, "}");
}

void sim_records_write(const struct sim_records *records, uint64_t since, uint64_t limit,
                       const char *path, struct buffer *out)
{
    uint64_t kept = records->count < records->capacity ? records->count : records->capacity;
    uint64_t first = records->count - kept;
    uint64_t at = since > first ? since : first;
    uint64_t written = 0;
    sim_print(out, "{\"requests\":[");
    for (; at < records->count && written < limit; at++) {
        const struct sim_record *record = &records->list[at % records->capacity];
        if (strncmp(record->path, path, strlen(path)) == 0) {
            sim_print(out, "%s", written > 0 ? ",\n" : "");
            write_record(record, out);
            written++;
        }
    }
    sim_print(out, "],\"next\":%" PRIu64 "}", at);
}

void sim_exporters_init(struct sim_exporters *exporters)
{
    *exporters = (struct sim_exporters){
        .list = sim_alloc(SIM_EXPORTERS_MAX * sizeof exporters->list[0]),
        .runs = sim_alloc(SIM_RUNS_MAX * sizeof exporters->runs[0]),
    };
}

void sim_exporters_release(struct sim_exporters *exporters)
{
    free(exporters->list);
    free(exporters->runs);
    *exporters = (struct sim_exporters){0};
}

/* The exporter of a request; NULL when there are too many to tell apart. */
static struct sim_exporter *exporter_for(struct sim_exporters *exporters,
                                         const struct sim_record *record)
{
    for (size_t i = 0; i < exporters->count; i++) {
        if (strcmp(exporters->list[i].user_agent, record->user_agent) == 0 &&
            strcmp(exporters->list[i].client, record->client) == 0) {
            return &exporters->list[i];
        }
    }
    if (exporters->count == SIM_EXPORTERS_MAX) {
        return NULL;
    }
    struct sim_exporter *exporter = &exporters->list[exporters->count++];
    *exporter = (struct sim_exporter){.first_ms = record->at_ms};
    memcpy(exporter->user_agent, record->user_agent, sizeof exporter->user_agent);
    memcpy(exporter->client, record->client, sizeof exporter->client);
    return exporter;
}

static void note_port(struct sim_exporter *exporter, uint16_t port)
{
    size_t kept = exporter->port_count < SIM_PORTS_MAX ? exporter->port_count : SIM_PORTS_MAX;
    for (size_t i = 0; i < kept; i++) {
        if (exporter->ports[i] == port) {
            return;
        }
    }
    exporter->ports[exporter->port_count++ % SIM_PORTS_MAX] = port;
}

void sim_exporters_on_bundle(struct sim_exporters *exporters, const struct sim_record *record,
                             uint64_t entities)
{
    struct sim_exporter *exporter = exporter_for(exporters, record);
    if (exporter == NULL) {
        exporters->runs_lost++;
        return;
    }
    exporter->bundles++;
    exporter->entities += entities;
    exporter->last_ms = record->at_ms;
    note_port(exporter, record->remote_port);
    size_t index = (size_t)(exporter - exporters->list);
    size_t last = exporters->run_count;
    if (last == 0 || exporters->runs[last - 1].exporter != index) {
        if (last == SIM_RUNS_MAX) {
            exporters->runs_lost++;
            return;
        }
        exporters->runs[last++] = (struct sim_run){.exporter = index, .from_ms = record->at_ms};
        exporters->run_count = last;
    }
    exporters->runs[last - 1].to_ms = record->at_ms;
    exporters->runs[last - 1].bundles++;
}

static void write_who(const struct sim_exporter *exporter, struct buffer *out)
{
    sim_print(out, "{\"user_agent\":");
    sim_json_text(out, exporter->user_agent);
    write_name(out, "client", exporter->client);
}

void sim_exporters_write(const struct sim_exporters *exporters, struct buffer *out)
{
    sim_print(out, "{\"exporters\":[");
    for (size_t i = 0; i < exporters->count; i++) {
        const struct sim_exporter *exporter = &exporters->list[i];
        sim_print(out, "%s", i > 0 ? "," : "");
        write_who(exporter, out);
        sim_print(out,
                  ",\"bundles\":%" PRIu64 ",\"entities\":%" PRIu64 ",\"first_ms\":%" PRIu64
                  ",\"last_ms\":%" PRIu64 ",\"remote_ports\":[",
                  exporter->bundles, exporter->entities, exporter->first_ms, exporter->last_ms);
        size_t kept = exporter->port_count < SIM_PORTS_MAX ? exporter->port_count : SIM_PORTS_MAX;
        for (size_t j = 0; j < kept; j++) {
            sim_print(out, "%s%u", j > 0 ? "," : "", exporter->ports[j]);
        }
        sim_print(out, "]}");
    }
    sim_print(out, "],\"runs_lost\":%" PRIu64 ",\"runs\":[", exporters->runs_lost);
    for (size_t i = 0; i < exporters->run_count; i++) {
        const struct sim_run *run = &exporters->runs[i];
        sim_print(out, "%s", i > 0 ? "," : "");
        write_who(&exporters->list[run->exporter], out);
        sim_print(out, ",\"from_ms\":%" PRIu64 ",\"to_ms\":%" PRIu64 ",\"bundles\":%" PRIu64 "}",
                  run->from_ms, run->to_ms, run->bundles);
    }
    sim_print(out, "]}");
}
