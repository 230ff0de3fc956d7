/* What Python has a record as. Which members it has, and what their types are, comes from cffi, which reads record.h:
 * harness/skdiff/cases/native.py.
 */
#ifndef RECORDS_H
#define RECORDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "rules.h"

#define MOST_FIELDS 64

/* A number or an address of a record: its code as in Python's module struct, 's' for an address. */
struct field {
	uint16_t offset;
	char code;
};

/* A class of scenario.py: its plain fields come first, what is no number follows. */
struct class {
	PyTypeObject *type;
	unsigned int count;
	unsigned int items;	/* of its tuple */
	struct field fields[MOST_FIELDS];
};

enum { SCENARIO, PACKET, NETNS, PROGRAM, GROUP, SOCK, EVENT, N_KINDS };

#define N_LISTS 4	/* of a Scenario, behind its packet: netns, groups, socks, events */

extern struct class kinds[N_KINDS];
extern PyObject *struct_error;

int write_address(PyObject *number, uint8_t *bytes);
PyObject *read_scenario(const struct scenario_record *s, PyObject *tables);
int write_scenario(PyObject *from, struct scenario_record *s);
/* Head, packet and counts: what is in no list. */
int write_frame(PyObject *from, struct scenario_record *s, PyObject **lists);

#endif
