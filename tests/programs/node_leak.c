/* A library for node that leaks memory of its own: leak(count) keeps so many blocks of 100,000 bytes. It is made without node's headers:
 * what it needs of Node-API (node_api.h, version 1, whose binary interface is stable) is declared here. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);

int napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
int napi_set_named_property(napi_env, napi_value, const char *, napi_value);
int napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
int napi_get_value_uint32(napi_env, napi_value, uint32_t *);

enum { BLOCK = 100000 };

__attribute__((noinline)) void leak_native(void) {
  void *volatile block = malloc(BLOCK);
  memset(block, 1, BLOCK);
}

static napi_value leak(napi_env env, napi_callback_info info) {
  size_t arguments = 1;
  napi_value value;
  uint32_t count = 0;
  if (napi_get_cb_info(env, info, &arguments, &value, NULL, NULL) == 0 && arguments == 1) napi_get_value_uint32(env, value, &count);
  for (uint32_t i = 0; i < count; i++) leak_native();
  return NULL;
}

__attribute__((visibility("default"))) napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "leak", 4, leak, NULL, &function);
  napi_set_named_property(env, exports, "leak", function);
  return exports;
}
