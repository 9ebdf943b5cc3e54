// Echoes by Boost.Beast: `beast [CERTIFICATE KEY]`; prints its address first.
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/ssl.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <iostream>
#include <memory>
#include <thread>

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using asio::ip::tcp;

template <class Stream> void echo(websocket::stream<Stream> &socket) {
    websocket::permessage_deflate deflate;
    deflate.server_enable = true;
    socket.set_option(deflate);
    socket.accept();
    for (boost::beast::flat_buffer message;; message.consume(message.size())) {
        socket.read(message);
        socket.text(socket.got_text());
        socket.write(message.data());
    }
}

int main(int argc, char **argv) {
    asio::io_context context;
    asio::ssl::context tls(asio::ssl::context::tls_server);
    if (argc > 2) {
        tls.use_certificate_chain_file(argv[1]);
        tls.use_private_key_file(argv[2], asio::ssl::context::pem);
    }
    tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), 0});
    std::cout << acceptor.local_endpoint() << std::endl;
    for (;;) {
        std::thread([stream = acceptor.accept(), &tls, secure = argc > 2]() mutable {
            try {
                if (secure) {
                    websocket::stream<asio::ssl::stream<tcp::socket>> socket(std::move(stream), tls);
                    socket.next_layer().handshake(asio::ssl::stream_base::server);
                    echo(socket);
                } else {
                    websocket::stream<tcp::socket> socket(std::move(stream));
                    echo(socket);
                }
            } catch (const boost::system::system_error &) {
                // The client has closed.
            }
        }).detach();
    }
}
