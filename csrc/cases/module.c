/* Python's module: bytes and Scenarios in, Scenarios and records out. */
#include "records.h"

static PyObject *kept;

static bool are(Py_ssize_t given, Py_ssize_t wanted)
{
	if (given != wanted)
		PyErr_Format(PyExc_TypeError, "%zd arguments, not %zd", wanted, given);
	return given == wanted;
}

/* A buffer of Python as a record, until release(). Raises ValueError for one that cannot be one. */
static struct scenario_record *record_of(PyObject *from, Py_buffer *view, int flags)
{
	if (PyObject_GetBuffer(from, view, flags))
		return NULL;
	if (view->len >= (Py_ssize_t)sizeof(struct scenario_record) &&
	    !((uintptr_t)view->buf % _Alignof(struct scenario_record)))
		return view->buf;
	PyBuffer_Release(view);
	PyErr_Format(PyExc_ValueError, "a record has %zd bytes, and a place of its own", sizeof(struct scenario_record));
	return NULL;
}

static PyObject *encode_with(PyObject *const *args, Py_ssize_t n_args, bool whole)
{
	struct scenario_record *record;
	PyObject *lists[N_LISTS];
	Py_buffer view;
	int wrong;

	if (!are(n_args, 2))
		return NULL;
	record = record_of(args[1], &view, PyBUF_WRITABLE);
	if (!record)
		return NULL;
	wrong = whole ? write_scenario(args[0], record) : write_frame(args[0], record, lists);
	PyBuffer_Release(&view);
	return wrong ? NULL : Py_NewRef(Py_None);
}

static PyObject *module_encode(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
	return encode_with(args, n_args, true);
}

static PyObject *module_encode_frame(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
	return encode_with(args, n_args, false);
}

static PyObject *module_decode(PyObject *self, PyObject *from)
{
	const struct scenario_record *record;
	PyObject *made;
	Py_buffer view;

	record = record_of(from, &view, PyBUF_SIMPLE);
	if (!record)
		return NULL;
	made = read_scenario(record, NULL);
	PyBuffer_Release(&view);
	return made;
}

/* Where cases are made, one at a time. */
static struct scenario_record in_hand;

static PyObject *drawn(PyObject *const *args, Py_ssize_t n_args, bool valid)
{
	struct lookups of;
	Py_buffer view;

	if (!are(n_args, 2))
		return NULL;
	if (!PyBytes_Check(args[1])) {
		PyErr_SetString(PyExc_TypeError, "lookups are bytes");
		return NULL;
	}
	of = (struct lookups) { (const uint8_t *)PyBytes_AS_STRING(args[1]), PyBytes_GET_SIZE(args[1]) };
	if (PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE))
		return NULL;
	draw(view.buf, view.len, of, &in_hand);
	PyBuffer_Release(&view);
	if (valid)
		normalise(&in_hand);
	return read_scenario(&in_hand, NULL);
}

static PyObject *module_draw(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
	return drawn(args, n_args, false);
}

static PyObject *module_draw_valid(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
	return drawn(args, n_args, true);
}

static PyObject *module_draw_frame(PyObject *self, PyObject *const *args, Py_ssize_t n_args)
{
	PyObject *lists[N_LISTS];
	Py_buffer view;

	if (!are(n_args, 2) || write_frame(args[0], &in_hand, lists) || PyObject_GetBuffer(args[1], &view, PyBUF_SIMPLE))
		return NULL;
	if (view.len < format.frame_head.count + format.frame_packet.count) {
		PyErr_SetString(PyExc_ValueError, "too few bytes for a packet");
		PyBuffer_Release(&view);
		return NULL;
	}
	draw_frame(view.buf, &in_hand);
	PyBuffer_Release(&view);
	return read_scenario(&in_hand, args[0]);
}

static PyObject *module_normalise(PyObject *self, PyObject *from)
{
	if (write_scenario(from, &in_hand))
		return NULL;
	if (!in_hand.n_netns) {
		PyErr_SetString(PyExc_ValueError, "a case has a namespace");
		return NULL;
	}
	normalise(&in_hand);
	return read_scenario(&in_hand, NULL);
}

/* The packet alone changes. */
static PyObject *module_come_in(PyObject *self, PyObject *from)
{
	PyObject *lists[N_LISTS];

	if (write_frame(from, &in_hand, lists))
		return NULL;
	come_in(&in_hand.packet, in_hand.lookup, in_hand.caller);
	return read_scenario(&in_hand, from);
}

static PyObject *module_of_lookup(PyObject *self, PyObject *from)
{
	if (write_scenario(from, &in_hand))
		return NULL;
	of_lookup(&in_hand);
	return read_scenario(&in_hand, NULL);
}

/* --- what Python's tables say --- */

/* [(class, [(offset, code), ...]), ...], one for each of `kinds`. */
static int set_kinds(PyObject *from)
{
	for (unsigned int i = 0; i < N_KINDS; i++) {
		struct class *kind = &kinds[i];
		PyObject *fields, *fieldnames;

		if (!PyArg_ParseTuple(PyTuple_GET_ITEM(from, i), "O!O!", &PyType_Type, &kind->type, &PyTuple_Type, &fields))
			return -1;
		if (PyTuple_GET_SIZE(fields) > MOST_FIELDS) {
			PyErr_SetString(PyExc_ValueError, "MOST_FIELDS of csrc/cases/records.h are too few");
			return -1;
		}
		fieldnames = PyObject_GetAttrString((PyObject *)kind->type, "_fields");
		if (!fieldnames)
			return -1;
		kind->items = PyTuple_GET_SIZE(fieldnames);
		Py_DECREF(fieldnames);
		kind->count = PyTuple_GET_SIZE(fields);
		for (unsigned int j = 0; j < kind->count; j++) {
			int code;

			if (!PyArg_ParseTuple(PyTuple_GET_ITEM(fields, j), "HC", &kind->fields[j].offset, &code))
				return -1;
			kind->fields[j].code = code;
		}
	}
	return 0;
}

/* [(offset, size, values), ...] */
static int set_places(PyObject *from, struct drawn_places *to)
{
	to->count = PyTuple_GET_SIZE(from);
	if (to->count > MOST_PLACES) {
		PyErr_SetString(PyExc_ValueError, "MOST_PLACES of csrc/cases/rules.h are too few");
		return -1;
	}
	for (unsigned int i = 0; i < to->count; i++) {
		struct drawn_place *drawn = &to->places[i];
		Py_ssize_t n_bytes;
		const char *values;

		if (!PyArg_ParseTuple(PyTuple_GET_ITEM(from, i), "HHy#", &drawn->place.offset, &drawn->place.size, &values,
				      &n_bytes))
			return -1;
		if (n_bytes != 256 * drawn->place.size) {
			PyErr_SetString(PyExc_ValueError, "a place has 256 values");
			return -1;
		}
		drawn->values = (const uint8_t *)values;
	}
	return 0;
}

static int set_key(PyObject *from, struct place *to)
{
	Py_ssize_t count = PyTuple_GET_SIZE(from);

	for (Py_ssize_t i = 0; i < count && i < 7; i++)
		if (!PyArg_ParseTuple(PyTuple_GET_ITEM(from, i), "HH", &to[i].offset, &to[i].size))
			return -1;
	if (count > 7)
		PyErr_SetString(PyExc_ValueError, "struct plain of csrc/cases/rules.h has too little room for a key");
	return count > 7 ? -1 : 0;
}

/* tables(kinds, format, (slots, socks), addresses, numbers, keys): see harness/skdiff/cases/native.py. */
static PyObject *module_tables(PyObject *self, PyObject *args)
{
	PyObject *of_kinds, *of_format, *addresses, *keys;
	struct drawn_places *places[] = { &format.counts, &format.head, &format.packet, &format.netns, &format.program,
					  &format.group, &format.slot, &format.sock, &format.frame_head, &format.frame_packet };
	uint8_t *to[] = { plain.here, plain.peer, plain.many, plain.many6 };

	if (!PyArg_ParseTuple(args, "O!O!(II)O!(IIIIIIIII)O!", &PyTuple_Type, &of_kinds, &PyTuple_Type, &of_format,
			      &format.socks, &format.slots, &PyTuple_Type, &addresses, &plain.port, &plain.peer_port,
			      &plain.doff, &plain.len, &plain.data_len, &plain.udp_header, &plain.most_bytes,
			      &plain.most_cpus, &plain.most_references, &PyTuple_Type, &keys))
		return NULL;
	if (set_kinds(of_kinds))
		return NULL;
	for (unsigned int i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (set_places(PyTuple_GET_ITEM(of_format, i), places[i]))
			return NULL;
	for (unsigned int i = 0; i < 4; i++)
		if (write_address(PyTuple_GET_ITEM(addresses, i), to[i]))
			return NULL;
	if (set_key(PyTuple_GET_ITEM(keys, 0), plain.connection) || set_key(PyTuple_GET_ITEM(keys, 1), plain.group_key) ||
	    set_key(PyTuple_GET_ITEM(keys, 2), plain.udp_group_key))
		return NULL;
	Py_INCREF(args);
	Py_XSETREF(kept, args);	/* it holds the classes and the values */
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{ "tables", module_tables, METH_VARARGS, NULL },
	{ "encode", (PyCFunction)(void *)module_encode, METH_FASTCALL, NULL },
	{ "encode_frame", (PyCFunction)(void *)module_encode_frame, METH_FASTCALL, NULL },
	{ "decode", module_decode, METH_O, NULL },
	{ "draw", (PyCFunction)(void *)module_draw, METH_FASTCALL, NULL },
	{ "draw_valid", (PyCFunction)(void *)module_draw_valid, METH_FASTCALL, NULL },
	{ "draw_frame", (PyCFunction)(void *)module_draw_frame, METH_FASTCALL, NULL },
	{ "normalise", module_normalise, METH_O, NULL },
	{ "of_lookup", module_of_lookup, METH_O, NULL },
	{ "come_in", module_come_in, METH_O, NULL },
	{ NULL }
};

static struct PyModuleDef module = { PyModuleDef_HEAD_INIT, .m_name = "_skdiff_cases", .m_size = -1, .m_methods = methods };

__attribute__((visibility("default"))) PyObject *PyInit__skdiff_cases(void)
{
	PyObject *of_struct = PyImport_ImportModule("struct");

	if (!of_struct)
		return NULL;
	struct_error = PyObject_GetAttrString(of_struct, "error");
	Py_DECREF(of_struct);
	return struct_error ? PyModule_Create(&module) : NULL;
}
