// A library that loses a block with each call; with EXTENSION a module of Python that does.

#include <stdlib.h>

void *volatile lost;

__attribute__((noinline)) int leak_in_extension(void) {
    lost = malloc(1500);
    return lost != NULL;
}

#ifdef EXTENSION
#include <Python.h>

static PyObject *leak(PyObject *self, PyObject *unused) {
    (void)self, (void)unused;
    return PyBool_FromLong(leak_in_extension());
}

static PyMethodDef methods[] = {{"leak", leak, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "leaking", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_leaking(void) { return PyModule_Create(&module); }
#endif
