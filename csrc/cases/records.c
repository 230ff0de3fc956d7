/* A Scenario (harness/skdiff/cases/scenario.py) is written into a record, and read out of one. */
#include "records.h"

struct class kinds[N_KINDS];
PyObject *struct_error;

/* Addresses in both forms: the few that are drawn come again and again. */
struct known_address {
	PyObject *number;
	uint8_t bytes[ADDRESS_BYTES];
};

#define N_KNOWN 256
static struct known_address by_bytes[N_KNOWN], by_number[N_KNOWN];

static void know(struct known_address *known, PyObject *number, const uint8_t *bytes)
{
	Py_INCREF(number);
	Py_XSETREF(known->number, number);
	memcpy(known->bytes, bytes, ADDRESS_BYTES);
}

static PyObject *read_address(const uint8_t *bytes)
{
	uint64_t words[2];
	struct known_address *known;
	PyObject *number;

	memcpy(words, bytes, sizeof(words));
	known = &by_bytes[((words[0] ^ words[1]) * 0x9e3779b97f4a7c15) >> 56];
	if (known->number && !memcmp(known->bytes, bytes, ADDRESS_BYTES))
		return Py_NewRef(known->number);
	number = PyObject_CallMethod((PyObject *)&PyLong_Type, "from_bytes", "y#s", bytes, (Py_ssize_t)ADDRESS_BYTES, "big");
	if (number)
		know(known, number, bytes);
	return number;
}

/* Raises OverflowError for no address. */
int write_address(PyObject *number, uint8_t *bytes)
{
	struct known_address *known = &by_number[((uintptr_t)number >> 4) % N_KNOWN];
	PyObject *made;

	if (known->number != number) {
		made = PyObject_CallMethod(number, "to_bytes", "is", ADDRESS_BYTES, "big");
		if (!made)
			return -1;
		know(known, number, (const uint8_t *)PyBytes_AS_STRING(made));
		Py_DECREF(made);
	}
	memcpy(bytes, known->bytes, ADDRESS_BYTES);
	return 0;
}

static PyObject *read_field(const struct field *field, const char *record)
{
	const void *at = record + field->offset;

	switch (field->code) {
	case 'B':
		return PyLong_FromLong(*(const uint8_t *)at);
	case 'b':
		return PyLong_FromLong(*(const int8_t *)at);
	case 'H':
		return PyLong_FromLong(*(const uint16_t *)at);
	case 'i':
		return PyLong_FromLong(*(const int32_t *)at);
	case 'I':
		return PyLong_FromLong(*(const uint32_t *)at);
	default:
		return read_address(at);
	}
}

/* Raises struct.error for a number out of range. */
static int write_field(const struct field *field, PyObject *item, char *record)
{
	void *at = record + field->offset;
	long value;

	if (field->code == 's')
		return write_address(item, at);
	value = PyLong_AsLong(item);
	if (value == -1 && PyErr_Occurred()) {
		PyErr_Clear();
		goto wrong;
	}
	switch (field->code) {
	case 'B':
		*(uint8_t *)at = value;
		if (*(uint8_t *)at == value)
			return 0;
		break;
	case 'b':
		*(int8_t *)at = value;
		if (*(int8_t *)at == value)
			return 0;
		break;
	case 'H':
		*(uint16_t *)at = value;
		if (*(uint16_t *)at == value)
			return 0;
		break;
	case 'i':
		*(int32_t *)at = value;
		if (*(int32_t *)at == value)
			return 0;
		break;
	case 'I':
		*(uint32_t *)at = value;
		if (*(uint32_t *)at == value)
			return 0;
		break;
	}
wrong:
	PyErr_Format(struct_error, "%R is no value that its field of record.h can hold ('%c')", item, field->code);
	return -1;
}

/* A named tuple with its plain fields; what follows them is up to the caller. */
static PyObject *read_kind(const struct class *kind, const void *record)
{
	PyObject *made = kind->type->tp_alloc(kind->type, kind->items);

	if (!made)
		return NULL;
	for (unsigned int i = 0; i < kind->count; i++) {
		PyObject *item = read_field(&kind->fields[i], record);

		if (!item) {
			Py_DECREF(made);
			return NULL;
		}
		PyTuple_SET_ITEM(made, i, item);
	}
	if (kind->count == kind->items)
		PyObject_GC_UnTrack(made);	/* numbers make no circles */
	return made;
}

static int write_kind(const struct class *kind, PyObject *from, void *record)
{
	if (!PyTuple_Check(from) || PyTuple_GET_SIZE(from) != kind->items) {
		PyErr_Format(PyExc_TypeError, "%R is no %s", from, kind->type->tp_name);
		return -1;
	}
	for (unsigned int i = 0; i < kind->count; i++)
		if (write_field(&kind->fields[i], PyTuple_GET_ITEM(from, i), record))
			return -1;
	return 0;
}

/* The tuple at a place of another one, which has room for so many. Raises IndexError if it has more. */
static PyObject *list_of(PyObject *from, unsigned int place, unsigned int most, const char *what)
{
	PyObject *list = PyTuple_GET_ITEM(from, place);

	if (!PyTuple_Check(list)) {
		PyErr_Format(PyExc_TypeError, "%s: %R is no tuple", what, list);
		return NULL;
	}
	if (PyTuple_GET_SIZE(list) > (Py_ssize_t)most) {
		PyErr_Format(PyExc_IndexError, "%zd %s are more than the record has room for", PyTuple_GET_SIZE(list), what);
		return NULL;
	}
	return list;
}

static PyObject *read_list(const struct class *kind, const void *records, size_t size, unsigned int count,
			   PyObject *(*read)(const struct class *kind, const void *record))
{
	PyObject *list = PyTuple_New(count);

	for (unsigned int i = 0; list && i < count; i++) {
		PyObject *item = read(kind, (const char *)records + i * size);

		if (!item)
			Py_CLEAR(list);
		else
			PyTuple_SET_ITEM(list, i, item);
	}
	return list;
}

static unsigned int at_most(unsigned int count, unsigned int most)
{
	return count < most ? count : most;
}

/* A named tuple whose last item is a list. */
static PyObject *with_list(PyObject *made, PyObject *list)
{
	if (made && list)
		PyTuple_SET_ITEM(made, PyTuple_GET_SIZE(made) - 1, list);
	else
		Py_XDECREF(list);
	if (!list)
		Py_CLEAR(made);
	return made;
}

static PyObject *read_netns(const struct class *kind, const void *record)
{
	const struct netns_record *net = record;
	PyObject *made = read_kind(kind, net);

	return made ? with_list(made, read_list(&kinds[PROGRAM], net->progs, sizeof(net->progs[0]),
						at_most(net->n_progs, MAX_PROGS), read_kind)) : NULL;
}

static PyObject *read_slot(const struct class *kind, const void *record)
{
	(void)kind;
	return PyLong_FromLong(*(const int8_t *)record);
}

static PyObject *read_group(const struct class *kind, const void *record)
{
	const struct group_record *group = record;
	PyObject *made = read_kind(kind, group);

	return made ? with_list(made, read_list(NULL, group->slots, 1, at_most(group->n_slots, MAX_SLOTS), read_slot)) : NULL;
}

/* `tables` is another Scenario whose lists are taken as they are, or NULL. */
PyObject *read_scenario(const struct scenario_record *s, PyObject *tables)
{
	PyObject *made = read_kind(&kinds[SCENARIO], s);
	unsigned int at = kinds[SCENARIO].count;
	bool whole = true;
	PyObject *parts[1 + N_LISTS];

	if (!made)
		return NULL;
	parts[0] = read_kind(&kinds[PACKET], &s->packet);
	if (tables) {
		for (unsigned int i = 1; i <= N_LISTS; i++)
			parts[i] = Py_NewRef(PyTuple_GET_ITEM(tables, at + i));
	} else {
		parts[1] = read_list(&kinds[NETNS], s->netns, sizeof(s->netns[0]), at_most(s->n_netns, MAX_NETNS), read_netns);
		parts[2] = read_list(&kinds[GROUP], s->groups, sizeof(s->groups[0]), at_most(s->n_groups, MAX_GROUPS), read_group);
		parts[3] = read_list(&kinds[SOCK], s->socks, sizeof(s->socks[0]), at_most(s->n_socks, MAX_SOCKS), read_kind);
		parts[4] = read_list(&kinds[EVENT], s->events, sizeof(s->events[0]), at_most(s->n_events, MAX_EVENTS), read_kind);
	}
	for (unsigned int i = 0; i <= N_LISTS; i++) {
		PyTuple_SET_ITEM(made, at + i, parts[i]);
		whole &= parts[i] != NULL;
	}
	if (!whole)
		Py_CLEAR(made);
	return made;
}

static int write_netns(PyObject *from, struct netns_record *net)
{
	PyObject *progs;

	if (write_kind(&kinds[NETNS], from, net))
		return -1;
	progs = list_of(from, kinds[NETNS].count, MAX_PROGS, "programs");
	if (!progs)
		return -1;
	net->n_progs = PyTuple_GET_SIZE(progs);
	for (int i = 0; i < net->n_progs; i++)
		if (write_kind(&kinds[PROGRAM], PyTuple_GET_ITEM(progs, i), &net->progs[i]))
			return -1;
	return 0;
}

static int write_group(PyObject *from, struct group_record *group)
{
	static const struct field slot = { 0, 'b' };
	PyObject *slots;

	if (write_kind(&kinds[GROUP], from, group))
		return -1;
	slots = list_of(from, kinds[GROUP].count, MAX_SLOTS, "slots");
	if (!slots)
		return -1;
	group->n_slots = PyTuple_GET_SIZE(slots);
	for (int i = 0; i < group->n_slots; i++)
		if (write_field(&slot, PyTuple_GET_ITEM(slots, i), (char *)&group->slots[i]))
			return -1;
	memset(group->slots + group->n_slots, NONE, MAX_SLOTS - group->n_slots);
	return 0;
}

int write_frame(PyObject *from, struct scenario_record *s, PyObject **lists)
{
	static const unsigned int most[] = { MAX_NETNS, MAX_GROUPS, MAX_SOCKS, MAX_EVENTS };
	static const char *const what[] = { "namespaces", "groups", "sockets", "events" };
	unsigned int at = kinds[SCENARIO].count;

	if (write_kind(&kinds[SCENARIO], from, s) || write_kind(&kinds[PACKET], PyTuple_GET_ITEM(from, at), &s->packet))
		return -1;
	for (unsigned int i = 0; i < N_LISTS; i++) {
		lists[i] = list_of(from, at + 1 + i, most[i], what[i]);
		if (!lists[i])
			return -1;
	}
	s->n_netns = PyTuple_GET_SIZE(lists[0]);
	s->n_groups = PyTuple_GET_SIZE(lists[1]);
	s->n_socks = PyTuple_GET_SIZE(lists[2]);
	s->n_events = PyTuple_GET_SIZE(lists[3]);
	return 0;
}

int write_scenario(PyObject *from, struct scenario_record *s)
{
	PyObject *lists[N_LISTS];

	if (write_frame(from, s, lists))
		return -1;
	for (int i = 0; i < s->n_netns; i++)
		if (write_netns(PyTuple_GET_ITEM(lists[0], i), &s->netns[i]))
			return -1;
	for (int i = 0; i < s->n_groups; i++)
		if (write_group(PyTuple_GET_ITEM(lists[1], i), &s->groups[i]))
			return -1;
	for (int i = 0; i < s->n_socks; i++)
		if (write_kind(&kinds[SOCK], PyTuple_GET_ITEM(lists[2], i), &s->socks[i]))
			return -1;
	for (int i = 0; i < s->n_events; i++)
		if (write_kind(&kinds[EVENT], PyTuple_GET_ITEM(lists[3], i), &s->events[i]))
			return -1;
	return 0;
}
