// Echoes by libwebsockets: `libwebsockets [CERTIFICATE KEY]`; prints its address first.
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    unsigned char *message; // behind LWS_PRE bytes for the header
    size_t len;
    int whole;
};

static int echo(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len) {
    struct session *session = user;
    switch (reason) {
    case LWS_CALLBACK_RECEIVE:
        session->message = realloc(session->message, LWS_PRE + session->len + len);
        if (!session->message) return -1;
        memcpy(session->message + LWS_PRE + session->len, in, len);
        session->len += len;
        if (lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi)) {
            session->whole = 1;
            lws_rx_flow_control(wsi, 0);
            lws_callback_on_writable(wsi);
        }
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (!session->whole) return 0;
        session->whole = 0;
        if (lws_write(wsi, session->message + LWS_PRE, session->len,
                      lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < (int)session->len) return -1;
        session->len = 0;
        lws_rx_flow_control(wsi, 1);
        return 0;
    case LWS_CALLBACK_CLOSED:
        free(session->message);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

static const struct lws_protocols protocols[] = {{"echo", echo, sizeof(struct session), 0}, {0}};

static const struct lws_extension extensions[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate; client_no_context_takeover; client_max_window_bits"},
    {0},
};

int main(int argc, char **argv) {
    struct lws_context_creation_info info = {0};
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.extensions = extensions;
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    if (argc > 2) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = argv[1];
        info.ssl_private_key_filepath = argv[2];
    }
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    struct lws_vhost *host = context ? lws_create_vhost(context, &info) : NULL;
    if (!host) return 1;
    printf("127.0.0.1:%d\n", lws_get_vhost_listen_port(host));
    fflush(stdout);
    while (lws_service(context, 0) >= 0) {}
    return 0;
}
